"""The ledger: states, attempts, revisions and quality warnings of ingest units."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.sources.base import day_request
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import LedgerEntry, RecordedEntry, days_of, record, request_days
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply, make_savant_source

DAY = date(2024, 6, 3)
CELLS = sample_cells(DAY, days=1)
BODY = as_csv(CELLS)
DONE = LedgerEntry(source="savant", unit=str(DAY), day=DAY, state="done", rows_in=3, inserted=3)
FAILED = LedgerEntry(source="savant", unit=str(DAY), day=DAY, state="failed", last_error="no answer")
HEADER = BODY.partition(b"\n")[0] + b"\n"


@pytest.fixture
def ingestor(database: Database, savant: FakeSavant, tmp_path: Path) -> Ingestor:
    return Ingestor(engine=database.engine, source=make_savant_source(savant.url), home=tmp_path)


async def entry_of(database: Database, day: date = DAY) -> RecordedEntry:
    async with database.engine.connect() as connection:
        (entry,) = await days_of(connection, "savant", day, day)
        return entry


async def take(ingestor: Ingestor, savant: FakeSavant, body: bytes, day: date = DAY) -> None:
    savant.replies[day] = Reply(body=body)
    await ingestor.ingest(day_request(day))


async def test_a_requested_day_is_recorded_before_the_first_attempt(connection: AsyncConnection) -> None:
    await request_days(connection, "savant", [DAY])
    (requested,) = await days_of(connection, "savant", DAY, DAY)
    assert (requested.state, requested.attempts, requested.requested_at is not None) == ("requested", 0, True)
    await record(connection, DONE)
    await request_days(connection, "savant", [DAY])
    (got,) = await days_of(connection, "savant", DAY, DAY)
    assert (got.state, got.attempts, got.rows_in) == ("done", 1, 3)


async def test_a_failure_keeps_what_was_ingested_before(connection: AsyncConnection) -> None:
    await record(connection, replace(DONE, games=1, raw_sha256="a"))
    await record(connection, FAILED)
    (kept,) = await days_of(connection, "savant", DAY, DAY)
    assert (kept.state, kept.rows_in, kept.games, kept.raw_sha256) == ("done", 3, 1, "a")
    assert (kept.last_error, kept.attempts) == ("no answer", 2)


async def test_a_day_ingested_again_with_other_rows_is_a_revision(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    corrected = CELLS.with_columns(des=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("corrected")).otherwise("des"))
    for body, revisions in ((BODY, 0), (BODY, 0), (as_csv(corrected), 1), (as_csv(corrected), 1), (BODY, 2)):
        await take(ingestor, savant, body)
        assert (await entry_of(database)).revisions == revisions


async def test_the_time_of_the_response_is_recorded(ingestor: Ingestor, savant: FakeSavant, database: Database) -> None:
    await take(ingestor, savant, BODY)
    fetched_at = (await entry_of(database)).fetched_at
    assert fetched_at is not None
    assert abs(datetime.now(UTC) - fetched_at) < timedelta(seconds=60)


@pytest.mark.parametrize("nothing", [HEADER, b""], ids=["header only", "empty"])
async def test_an_empty_response_does_not_clear_a_day_with_rows(
    ingestor: Ingestor, savant: FakeSavant, database: Database, nothing: bytes
) -> None:
    await take(ingestor, savant, BODY)
    with pytest.raises(SourceRefusedError, match=f"it has no rows, but had {CELLS.height} before"):
        await take(ingestor, savant, nothing)
    kept = await entry_of(database)
    assert (kept.state, kept.rows_in) == ("done", CELLS.height)
    assert "no rows" in str(kept.last_error)


async def test_a_truncated_game_is_suspicious_until_it_is_complete(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    part = CELLS.filter(pl.col("inning").cast(pl.Int32) <= 5)
    await take(ingestor, savant, as_csv(part))
    assert "stops in the bottom of inning 5" in str((await entry_of(database)).warning)
    await take(ingestor, savant, BODY)
    assert (await entry_of(database)).warning is None


async def test_pitches_missing_from_a_later_response_are_reported_until_they_return(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    await take(ingestor, savant, BODY)
    renumbered = CELLS.with_columns(at_bat_number=(pl.col("at_bat_number").cast(pl.Int32) + 200).cast(pl.String))
    await take(ingestor, savant, as_csv(renumbered))
    assert (await entry_of(database)).warning == f"{CELLS.height} stored pitches are missing in the last answer"
    await take(ingestor, savant, as_csv(pl.concat([CELLS, renumbered])))
    assert (await entry_of(database)).warning is None


async def test_a_response_with_rows_of_another_day_is_reported(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    later = DAY + timedelta(days=1)
    await take(ingestor, savant, BODY, later)
    assert (await entry_of(database, later)).warning == f"{CELLS.height} rows of the answer are not of {later}"


async def test_gaps_and_a_player_of_both_teams_are_not_suspicious(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    top, bottom = (CELLS.filter(inning_topbot=half)["batter"][0] for half in ("Top", "Bot"))
    suspicious = CELLS.filter(pl.col("pitch_number") != "2").with_columns(
        batter=pl.col("batter").replace({top: bottom})
    )
    await take(ingestor, savant, as_csv(suspicious))
    assert (await entry_of(database)).warning is None


async def test_a_day_far_from_its_neighbors_is_suspicious_in_any_order(
    ingestor: Ingestor, savant: FakeSavant, database: Database
) -> None:
    days = [DAY + timedelta(days=number) for number in range(6)]
    for day in days:
        cells = sample_cells(day, days=1)
        await take(ingestor, savant, as_csv(cells.head(20) if day == DAY else cells), day)
    assert "20 rows, but the days around have" in str((await entry_of(database, DAY)).row_count_warning)
    assert [(await entry_of(database, day)).row_count_warning for day in days[1:]] == [None] * 5


@pytest.mark.realdata
async def test_in_three_real_weeks_one_game_is_suspicious(
    ingestor: Ingestor, savant: FakeSavant, database: Database, real_data: Path
) -> None:
    month = pl.read_parquet(real_data / "statcast/statcast_2024-06.parquet")
    weeks = month.filter(pl.col("game_date").is_between(pl.lit("2024-06-10"), pl.lit("2024-06-30")))
    for (day,), cells in weeks.group_by("game_date"):
        await take(ingestor, savant, as_csv(cells), date.fromisoformat(str(day)))
    async with database.engine.connect() as connection:
        entries = await days_of(connection, "savant", date(2024, 6, 1), date(2024, 6, 30))
        games = (await connection.execute(text("SELECT count(*) FROM games"))).scalar_one()
    suspicious = {str(each.day): each.warning for each in entries if each.warning}
    assert games > 250
    assert list(suspicious) == ["2024-06-22"]  # walked off on a wild pitch; no row has its run
    assert "game 746541 stops in the bottom of inning 9 at 7:7" in str(suspicious["2024-06-22"])
