"""`ondeck ingest status`: counts, open problems and the exit code."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from ondeck_ingest.cli.status import IngestStatus, read_status, render_status
from ondeck_ingest.jobs.queue import BACKFILL_PRIORITY, enqueue
from ondeck_ingest.pipeline.foreground_ingest import play_game
from ondeck_ingest.pipeline.ingest_day import Ingestor
from ondeck_ingest.sources.base import SourceUnreachableError, day_request
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import SourceState, record_source
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply, make_savant_source

DAY = date(2024, 6, 3)
CELLS = sample_cells(DAY, days=1)
TRUNCATED = CELLS.with_columns(
    balls=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("4")).otherwise("balls"), novel=pl.lit("1")
)


async def status(database: Database) -> IngestStatus:
    async with database.engine.connect() as connection:
        return await read_status(connection, "savant")


async def lines(database: Database) -> list[str]:
    return list(render_status(await status(database)))


def ingest(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", "ingest", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def test_the_status_of_an_empty_store_shows_that_it_is_empty(database: Database) -> None:
    assert (await lines(database))[1:] == [
        "stored: nothing",
        "sources: no request yet",
        "days: none",
        "queue: 0 queued, 0 running",
        "dead jobs: none",
        "failed or suspicious: nothing",
        "quarantined: none",
        "unknown columns: none",
        "players: 0 in no register yet, 0 conflicts between sources",
        "latest: nothing",
    ]


async def test_everything_that_needs_attention_has_its_line(
    database: Database, savant: FakeSavant, tmp_path: Path
) -> None:
    later = [DAY + timedelta(days=number) for number in (1, 2, 3)]
    savant.replies = {
        DAY: Reply(body=as_csv(TRUNCATED.filter(pl.col("inning").cast(pl.Int32) <= 5))),
        later[0]: Reply(status=403),
    }
    ingestor = Ingestor(engine=database.engine, source=make_savant_source(savant.url), home=tmp_path)
    await ingestor.ingest(day_request(DAY))
    with pytest.raises(SourceUnreachableError):
        await ingestor.ingest(day_request(later[0]))
    async with database.engine.begin() as connection:
        await enqueue(connection, "savant", later[1:], BACKFILL_PRIORITY)
        await connection.execute(
            text("UPDATE ingest_pgqueuer SET status = 'failed' WHERE convert_from(payload, 'UTF8') = :day"),
            {"day": str(later[2])},
        )
        until = datetime(2024, 6, 7, 12, 30, tzinfo=UTC)
        is_open = SourceState(source="savant", state="open", until=until, reason="status 403")
        await record_source(connection, is_open)
    found = await status(database)
    output = "\n".join(render_status(found))
    rows = found.seasons[0].pitches
    for line in (
        f"  2024: {rows} pitches of 1 games, {DAY} to {DAY}",
        "  savant circuit open until 12:30:00 UTC: status 403",
        "days: 1 done, 1 failed, 2 requested",
        "queue: 1 queued, 0 running, the oldest since 20",
        "dead jobs: 1 (ondeck ingest retry)\n  savant 2024-06-06 after 1 attempts, 20",
        f"  {later[0]} failed, 0 rows: {savant.url} answered with status 403",
        f"  {DAY} done, {rows + 1} rows: game ",
        "quarantined: 1 out_of_range (ondeck ingest quarantine list)",
        "  novel, first in savant 2024-06-03",
        " in no register yet, 0 conflicts between sources (ondeck players unresolved)",
        f" savant {DAY} done, {rows + 1} rows in: {rows} new, 0 changed, 0 unchanged, 1 quarantined",
    ):
        assert line in output
    assert found.needs_attention


async def test_simulated_rows_are_not_counted(database: Database) -> None:
    await play_game(database.engine, date(2026, 6, 1), seconds=0)
    assert (await lines(database))[1] == "stored: nothing"


async def test_the_exit_code_shows_whether_attention_is_needed(store_home: Path, database: Database) -> None:
    well = ingest(store_home, "status", "--json")
    assert well.returncode == 0
    assert json.loads(well.stdout)["queue"] == {"queued": 0, "running": 0, "oldest": None}
    async with database.engine.begin() as connection:
        await record_source(connection, SourceState(source="savant", state="open", reason="status 403"))
    assert ingest(store_home, "status").returncode == 2
