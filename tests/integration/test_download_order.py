"""An older download does not replace newer rows; an unknown order is reported; a load can be reverted."""

import gzip
import json
import os
import zipfile
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from structlog.testing import capture_logs

from ondeck_core.errors import NotFoundError, SourceRefusedError
from ondeck_core.statcast.download_time import DownloadTime
from ondeck_ingest.cli.ingest import ingest
from ondeck_ingest.pipeline.foreground_ingest import summarize
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, load_unit
from ondeck_ingest.pipeline.quarantine_retry import retry_quarantined
from ondeck_ingest.sources.base import SourceRequest
from ondeck_ingest.sources.files import FileSource
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import RecordedEntry, latest_entries
from ondeck_store.ingest.quarantine import QuarantineFilter, find_rows
from ondeck_store.ingest.revert import RevertCounts, revert_unit
from ondeck_store.pitches.content_digest import content_digest
from tests.factories.statcast_rows import as_csv, sample_cells

CELLS = sample_cells(date(2022, 6, 1), days=1)
ROWS = CELLS.height
FIRST = pl.int_range(pl.len()) < 12
OLDER = CELLS.with_columns(pitch_type=pl.when(FIRST).then(pl.lit("FC")).otherwise("pitch_type"))
FAULTY = CELLS.with_columns(balls=pl.when(FIRST).then(pl.lit("4")).otherwise("balls"))
JUNE, JULY = datetime(2025, 6, 30, tzinfo=UTC), datetime(2025, 7, 30, tzinfo=UTC)


def unit(name: str, at: datetime, *, replaces_newer: bool = False) -> IngestUnit:
    download = DownloadTime(not_before=at, not_after=at)
    return IngestUnit(source="file", name=name, download=download, replaces_newer=replaces_newer)


async def cutters(database: Database) -> int:
    async with database.engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM pitches WHERE pitch_type = 'FC'"))
        return int(found.scalar_one())


async def ledger(database: Database) -> RecordedEntry:
    async with database.engine.connect() as connection:
        return (await latest_entries(connection, 1))[0]


async def digest(database: Database) -> dict[str, str]:
    async with database.engine.connect() as connection:
        return await content_digest(connection)


async def revert(database: Database, name: str) -> RevertCounts:
    async with database.engine.begin() as connection:
        return await revert_unit(connection, name)


CUTTERS = CELLS.filter(pl.col("pitch_type") == "FC").height
OLDER_CUTTERS = OLDER.filter(pl.col("pitch_type") == "FC").height
CHANGED = OLDER_CUTTERS - CUTTERS


async def test_an_older_download_replaces_no_newer_row_and_the_account_has_it(database: Database) -> None:
    await load_unit(database.engine, unit("newer", JULY), CELLS)
    before = await digest(database)
    with capture_logs() as events:
        counts = await load_unit(database.engine, unit("older", JUNE), OLDER)
    assert counts == LoadCounts(rows_in=ROWS, unchanged=ROWS - CHANGED, outdated=CHANGED)
    assert counts.needs_attention
    assert await digest(database) == before
    assert str(counts).endswith(f"0 quarantined, {CHANGED} outdated")
    reason = "row of an older download than the stored one: not stored (--replace-newer stores it)"
    assert f"  {CHANGED} x {reason}" in summarize(counts)
    assert [event["rows"] for event in events if event["event"] == "outdated_rows_found"] == [CHANGED]
    entry = await ledger(database)
    assert (entry.unit, entry.outdated, entry.unchanged) == ("older", CHANGED, ROWS - CHANGED)
    assert (await load_unit(database.engine, unit("newer", JULY), CELLS)).unchanged == ROWS


async def test_an_older_download_replaces_newer_rows_when_asked(database: Database) -> None:
    await load_unit(database.engine, unit("newer", JULY), CELLS)
    counts = await load_unit(database.engine, unit("older", JUNE, replaces_newer=True), OLDER)
    assert counts == LoadCounts(rows_in=ROWS, unchanged=ROWS - CHANGED, changed=CHANGED)
    assert counts.changed_by_unit == {"older": CHANGED}
    assert await cutters(database) == OLDER_CUTTERS


async def test_an_older_download_still_adds_rows_that_are_not_stored(database: Database) -> None:
    await load_unit(database.engine, unit("newer", JULY), CELLS.tail(-3))
    counts = await load_unit(database.engine, unit("older", JUNE), CELLS)
    assert counts == LoadCounts(rows_in=ROWS, inserted=3, unchanged=ROWS - 3)


async def test_a_newer_download_replaces_rows_and_names_the_way_back(database: Database) -> None:
    await load_unit(database.engine, unit("older", JUNE), OLDER)
    counts = await load_unit(database.engine, unit("newer.csv 0123456789ab", JULY), CELLS)
    assert counts == LoadCounts(rows_in=ROWS, unchanged=ROWS - CHANGED, changed=CHANGED)
    assert "  to restore the former rows: ondeck ingest revert 'newer.csv 0123456789ab'" in summarize(counts)


async def test_a_download_that_confirms_stored_rows_makes_them_newer(database: Database) -> None:
    await load_unit(database.engine, unit("first", JUNE), CELLS)
    await load_unit(database.engine, unit("again", JULY), CELLS)
    between = await load_unit(database.engine, unit("between", JUNE + timedelta(days=9)), OLDER)
    assert (between.changed, between.outdated) == (0, CHANGED)


async def test_rows_of_unknown_order_are_stored_and_reported(database: Database) -> None:
    await load_unit(database.engine, IngestUnit(source="file", name="one"), CELLS)
    with capture_logs() as events:
        counts = await load_unit(database.engine, unit("other", JULY), OLDER)
    assert counts == LoadCounts(rows_in=ROWS, changed=CHANGED, unchanged=ROWS - CHANGED, unordered=CHANGED)
    line = f"  {CHANGED} changed rows may be from an older download than before (see --downloaded-at)"
    assert line in summarize(counts)
    assert [event["rows"] for event in events if event["event"] == "unordered_rows_changed"] == [CHANGED]
    assert (await ledger(database)).unordered == CHANGED


def write(path: Path, cells: pl.DataFrame, modified_at: datetime) -> SourceRequest:
    path.write_bytes(as_csv(cells))
    os.utime(path, (modified_at.timestamp(), modified_at.timestamp()))
    return SourceRequest(name=str(path))


def ingestor(database: Database, tmp_path: Path, downloaded_at: datetime | None = None) -> Ingestor:
    return Ingestor(engine=database.engine, source=FileSource(downloaded_at=downloaded_at), home=tmp_path)


async def test_the_time_of_a_file_decides_for_older_only(database: Database, tmp_path: Path) -> None:
    files = ingestor(database, tmp_path)
    await files.ingest(write(tmp_path / "newer.csv", CELLS, JULY))
    older = await files.ingest(write(tmp_path / "older.csv", OLDER, JUNE))
    assert (older.outdated, older.changed) == (CHANGED, 0)
    copied = await files.ingest(write(tmp_path / "copied.csv", OLDER, JULY + timedelta(days=30)))
    assert (copied.outdated, copied.changed, copied.unordered) == (0, CHANGED, CHANGED)


async def test_a_file_that_says_it_is_older_than_its_games_orders_nothing(database: Database, tmp_path: Path) -> None:
    files = ingestor(database, tmp_path)
    await files.ingest(write(tmp_path / "newer.csv", CELLS, JULY))
    counts = await files.ingest(write(tmp_path / "other.csv", OLDER, datetime(1980, 1, 1, tzinfo=UTC)))
    assert (counts.outdated, counts.unordered) == (0, CHANGED)


async def test_the_time_in_an_archive_counts_after_a_copy(database: Database, tmp_path: Path) -> None:
    files = ingestor(database, tmp_path)
    await files.ingest(write(tmp_path / "newer.csv", CELLS, JULY))
    (tmp_path / "older.csv.gz").write_bytes(gzip.compress(as_csv(OLDER), mtime=int(JUNE.timestamp())))
    with zipfile.ZipFile(tmp_path / "older.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo("older.csv", JUNE.timetuple()[:6]), as_csv(OLDER))
    for name in ("older.csv.gz", "older.zip"):
        counts = await files.ingest(SourceRequest(name=str(tmp_path / name)))
        assert (name, counts.outdated, counts.changed) == (name, CHANGED, 0)


async def test_a_stated_time_decides_and_is_checked_against_the_games(database: Database, tmp_path: Path) -> None:
    await ingestor(database, tmp_path, JUNE).ingest(write(tmp_path / "older.csv", OLDER, JULY))
    newer = await ingestor(database, tmp_path, JULY).ingest(write(tmp_path / "newer.csv", CELLS, JUNE))
    assert (newer.changed, newer.unordered) == (CHANGED, 0)
    with pytest.raises(SourceRefusedError, match="games of 2022-06-01, later than its download, 2022-05-01"):
        await ingestor(database, tmp_path, datetime(2022, 5, 1, tzinfo=UTC)).ingest(
            write(tmp_path / "impossible.csv", OLDER, JULY)
        )


async def test_a_revert_restores_rows_counts_ledger_and_quarantine(database: Database) -> None:
    await load_unit(database.engine, unit("first", JUNE), CELLS)
    before = await digest(database)
    await load_unit(database.engine, unit("second.csv 0123456789ab", JULY), OLDER)
    assert await cutters(database) == OLDER_CUTTERS
    assert await revert(database, "second.csv") == RevertCounts(
        source="file", unit="second.csv 0123456789ab", restored=CHANGED, removed=0, kept=0
    )
    assert await digest(database) == before
    entry = await ledger(database)
    assert (entry.state, entry.changed, entry.rows_in) == ("reverted", CHANGED, ROWS)
    again = await load_unit(database.engine, unit("second.csv 0123456789ab", JULY), OLDER)
    assert again.changed == CHANGED
    assert (await ledger(database)).state == "done"


async def test_a_revert_removes_new_rows_and_games_without_rows(database: Database) -> None:
    before = await digest(database)
    await load_unit(database.engine, unit("wrong", JULY), FAULTY)
    done = await revert(database, "wrong")
    assert (done.restored, done.removed, done.kept) == (0, ROWS - 12, 0)
    after = await digest(database)
    assert (after["pitches"], after["games"]) == (before["pitches"], before["games"])
    async with database.engine.connect() as connection:
        assert await find_rows(connection, QuarantineFilter()) == []
    assert (await retry_quarantined(database.engine, QuarantineFilter())).rows_in == 0
    again = await load_unit(database.engine, unit("wrong", JULY), FAULTY)
    assert (again.inserted, again.quarantined) == (ROWS - 12, 12)
    async with database.engine.connect() as connection:
        assert len(await find_rows(connection, QuarantineFilter())) == 12


async def test_a_revert_opens_the_quarantined_rows_that_its_load_closed(database: Database) -> None:
    await load_unit(database.engine, unit("faulty", JUNE), FAULTY)
    await load_unit(database.engine, unit("whole", JULY), CELLS)
    async with database.engine.connect() as connection:
        assert await find_rows(connection, QuarantineFilter()) == []
    assert (await revert(database, "whole")).removed == 12
    async with database.engine.connect() as connection:
        assert len(await find_rows(connection, QuarantineFilter())) == 12


async def test_rows_that_another_load_changed_since_stay(database: Database) -> None:
    await load_unit(database.engine, unit("first", JUNE), CELLS)
    await load_unit(database.engine, unit("second", JULY), OLDER)
    differs = (OLDER["pitch_type"] != CELLS["pitch_type"]).arg_true()
    is_again = pl.int_range(pl.len()).is_in(differs[:2].implode())
    third = OLDER.with_columns(pitch_type=pl.when(is_again).then(pl.lit("KN")).otherwise("pitch_type"))
    assert (await load_unit(database.engine, unit("third", JULY + timedelta(days=1)), third)).changed == 2
    done = await revert(database, "second")
    assert (done.restored, done.removed, done.kept) == (CHANGED - 2, 0, 2)
    async with database.engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*) FROM pitches WHERE pitch_type = 'KN'"))
        assert found.scalar_one() == 2


async def test_each_revert_goes_one_load_back_and_the_last_one_is_refused(database: Database) -> None:
    await load_unit(database.engine, unit("day", JUNE), CELLS)
    await load_unit(database.engine, unit("day", JULY), OLDER)
    assert (await revert(database, "day")).restored == CHANGED
    assert (await revert(database, "day")).removed == ROWS
    with pytest.raises(NotFoundError, match="load of unit"):
        await revert(database, "day")


def run(home: Path, *words: str | Path) -> Result:
    return CliRunner().invoke(ingest, [*map(str, words), "--home", str(home)])


@pytest.mark.usefixtures("database")
def test_the_commands_store_report_and_revert(tmp_path: Path, store_home: Path) -> None:
    newer, older = tmp_path / "newer.csv", tmp_path / "older.csv"
    newer.write_bytes(as_csv(CELLS))
    older.write_bytes(as_csv(OLDER))
    assert run(store_home, "files", newer, "--downloaded-at", "2025-07-30").exit_code == 0
    kept = run(store_home, "files", older, "--downloaded-at", "2025-06-30", "--json")
    account = json.loads(kept.stdout.splitlines()[-1])
    assert (kept.exit_code, account["outdated"], account["changed"], account["failed"]) == (2, CHANGED, 0, 0)
    assert list(account["reasons"].values()) == [CHANGED]
    forced = run(store_home, "files", older, "--downloaded-at", "2025-06-30", "--replace-newer")
    assert f"{CHANGED} changed" in forced.stdout
    line = forced.stdout.splitlines()[-1]
    assert line.startswith("  to restore the former rows: ondeck ingest revert 'older.csv ")
    reverted = run(store_home, "revert", line.split("'")[1])
    assert f": {CHANGED} rows restored, 0 rows removed" in reverted.stdout
    assert run(store_home, "files", newer).stdout.splitlines()[-1].endswith(f"{ROWS} unchanged, 0 quarantined")
