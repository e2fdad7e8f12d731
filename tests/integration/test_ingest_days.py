"""Ingest of a single day from Savant: stored, empty, unchanged or refused."""

from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import text

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.sources import archive
from ondeck_ingest.sources.archive import ArchiveWriteError
from ondeck_ingest.sources.base import SourceUnreachableError, day_request
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import RecordedEntry, latest_entries
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply, make_savant_source

DAY = date(2024, 6, 3)
CELLS = sample_cells(DAY, days=1)
BODY = as_csv(CELLS)
HEADER = BODY.partition(b"\n")[0] + b"\n"


@pytest.fixture
def ingestor(database: Database, savant: FakeSavant, tmp_path: Path) -> Ingestor:
    return Ingestor(engine=database.engine, source=make_savant_source(savant.url), home=tmp_path)


async def rows_stored(database: Database) -> int:
    async with database.engine.connect() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM pitches"))).scalar_one())


async def ledger(database: Database) -> RecordedEntry:
    async with database.engine.connect() as connection:
        (entry,) = await latest_entries(connection)
        return entry


async def test_a_day_is_stored_and_its_response_archived(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    savant.replies[DAY] = Reply(body=BODY)
    assert await ingestor.ingest(day_request(DAY)) == LoadCounts(rows_in=CELLS.height, inserted=CELLS.height)
    entry = await ledger(database)
    assert (entry.state, entry.day, entry.rows_in, entry.games) == ("done", DAY, CELLS.height, 1)
    kept = ingestor.home / "raw" / "savant" / DAY.isoformat() / f"{entry.raw_sha256}.zst"
    assert archive.read_version(kept) == BODY


async def test_a_day_ingested_again_changes_nothing(ingestor: Ingestor, savant: FakeSavant) -> None:
    savant.replies[DAY] = Reply(body=BODY)
    await ingestor.ingest(day_request(DAY))
    assert await ingestor.ingest(day_request(DAY)) == LoadCounts(rows_in=CELLS.height, unchanged=CELLS.height)


@pytest.mark.parametrize("body", [HEADER, b"", b"\n"], ids=["header only", "empty", "blank line"])
async def test_a_day_without_games_is_recorded_as_empty(
    ingestor: Ingestor, savant: FakeSavant, database: Database, body: bytes
) -> None:
    savant.replies[DAY] = Reply(body=body)
    assert await ingestor.ingest(day_request(DAY)) == LoadCounts()
    assert (await ledger(database)).state == "empty"


async def test_a_day_out_of_season_is_not_requested(ingestor: Ingestor, savant: FakeSavant, database: Database) -> None:
    assert await ingestor.ingest(day_request(date(2024, 1, 5))) == LoadCounts()
    assert savant.requested_days == []
    assert (await ledger(database)).state == "empty"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(body=b"<html>Just a moment</html>"), "it is an HTML page"),
        (Reply(body=b"error\nQuery timed out\n"), "it is an error message: 'Query timed out'"),
        (Reply(body=BODY[:-30]), "it ends in the middle of a row"),
        (Reply(body=b"date,name\n2024-06-03,x\n"), "not a Statcast export: no column"),
    ],
)
async def test_an_invalid_response_is_refused_and_nothing_is_stored(
    ingestor: Ingestor, savant: FakeSavant, database: Database, reply: Reply, reason: str
) -> None:
    savant.replies[DAY] = reply
    with pytest.raises(SourceRefusedError, match=reason):
        await ingestor.ingest(day_request(DAY))
    entry = await ledger(database)
    assert (entry.state, await rows_stored(database)) == ("failed", 0)
    assert reason in str(entry.last_error)


async def test_a_day_that_cannot_be_archived_is_refused_with_advice(
    ingestor: Ingestor, savant: FakeSavant, database: Database, tmp_path: Path
) -> None:
    savant.replies[DAY] = Reply(body=BODY)
    (tmp_path / "raw").write_text("no folder")
    with pytest.raises(
        ArchiveWriteError, match=r"cannot archive .* in .* \(Not a directory\).* make the folder writable, or set"
    ):
        await ingestor.ingest(day_request(DAY))
    entry = await ledger(database)
    assert (entry.state, await rows_stored(database)) == ("failed", 0)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(status=503), "answered with status 503"),
        (Reply(status=403, body=b"<html>"), "answered with status 403"),
        (Reply(body=BODY, delay=3.0), "did not answer in time"),
        (Reply(body=BODY, claims=len(BODY) + 10), "broke off in the middle of its answer"),
    ],
    ids=["503", "403", "too slow", "truncated"],
)
async def test_a_failed_request_is_a_recorded_state(
    ingestor: Ingestor, savant: FakeSavant, database: Database, reply: Reply, reason: str
) -> None:
    savant.replies[DAY] = reply
    with pytest.raises(SourceUnreachableError, match=reason):
        await ingestor.ingest(day_request(DAY))
    assert ((await ledger(database)).state, await rows_stored(database)) == ("failed", 0)
