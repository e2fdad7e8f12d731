"""`ondeck ingest`: files, replays, simulations and real months."""

import os
import signal
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.file_formats import MAX_BYTES
from ondeck_ingest.pipeline.foreground_ingest import play_game
from ondeck_ingest.sources.archive import put
from ondeck_store.database import Database
from ondeck_store.ingest.statcast_files import read_file
from ondeck_store.pitches.queries import read_pitches
from tests.factories.statcast_rows import as_csv, sample_cells

CELLS = sample_cells(date(2022, 6, 1), days=1)


def ingest(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", "ingest", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture
def export_folder(tmp_path: Path) -> Path:
    path = tmp_path / "day.csv"
    path.write_bytes(as_csv(CELLS))
    return path


async def content(database: Database) -> list[tuple[object, ...]]:
    async with database.engine.connect() as connection:
        counts = [
            (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()  # noqa: S608  constant table names
            for table in ("pitches", "games", "players", "ingest_ledger", "quarantine")
        ]
        return [tuple(counts)]


def test_the_same_file_twice_changes_nothing_and_reports_it(
    export_folder: Path, store_home: Path, database: Database
) -> None:
    rows = CELLS.height
    first, second = ingest(store_home, "files", str(export_folder)), ingest(store_home, "files", str(export_folder))
    assert first.stdout.splitlines()[-1] == f"{rows} rows in: {rows} new, 0 changed, 0 unchanged, 0 quarantined"
    assert second.stdout.splitlines()[-1] == f"{rows} rows in: 0 new, 0 changed, {rows} unchanged, 0 quarantined"
    assert (first.returncode, second.returncode) == (0, 0)
    assert database.engine.url.query["host"]


@pytest.mark.parametrize(
    ("name", "body", "complaint"),
    [
        ("page.csv", b"<!doctype html><p>Sign in</p>", "it is an HTML page, not a table"),
        ("cut.parquet", b"PAR1" + b"\0" * 50, "it is a broken or truncated parquet file"),
        ("other.csv", b"a,b\n1,2\n", "not a Statcast export: no column game_pk"),
    ],
)
async def test_a_refused_file_leaves_the_database_unchanged(
    tmp_path: Path, store_home: Path, database: Database, name: str, body: bytes, complaint: str
) -> None:
    before = await content(database)
    (tmp_path / name).write_bytes(body)
    done = ingest(store_home, "files", str(tmp_path / name))
    assert done.returncode == 1
    assert f"{name} failed: {complaint}" in done.stdout
    assert "Traceback" not in done.stderr
    assert await content(database) == before


def test_an_unreadable_file_does_not_stop_the_others(
    tmp_path: Path, export_folder: Path, store_home: Path, database: Database
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "missing.csv").symlink_to(tmp_path / "nowhere")
    done = ingest(store_home, "files", str(tmp_path))
    assert done.returncode == 1
    assert "missing.csv failed: it cannot be read (No such file or directory)" in done.stdout
    assert f"{export_folder.name}: {CELLS.height} rows in" in done.stdout
    assert "Traceback" not in done.stderr
    assert database.described


def test_a_folder_is_read_for_the_names_of_tables_and_other_files_are_logged(
    tmp_path: Path, store_home: Path, database: Database
) -> None:
    for name in ("a.CSV", "b.tsv", "c.csv.bz2", "d.zip", "notes.txt", "e.xlsx", ".hidden"):
        (tmp_path / name).write_bytes(as_csv(CELLS))
    done = ingest(store_home, "files", str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()[-1].partition(":")[0]) == (0, f"{4 * CELLS.height} rows in")
    assert "files_skipped" in done.stderr
    assert "e.xlsx" in done.stderr
    assert database.described


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with (tmp_path / "endless.csv").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(SourceRefusedError, match="it has more than 2 GiB: split it by season"):
        read_file(tmp_path / "endless.csv")


def test_a_stopped_run_stores_whole_files_and_stops_its_database(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(40):
        cells = sample_cells(date(2022, 6, 1) + timedelta(days=number), days=1)
        (tmp_path / f"{number:02d}.csv").write_bytes(as_csv(cells))
    command = [sys.executable, "-m", "ondeck_cli", "ingest", "files", str(tmp_path), "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "00.csv: " in process.stdout.readline()
    assert (home / "postgres" / "data" / "postmaster.pid").exists()
    process.send_signal(signal.SIGTERM)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, complaint.splitlines()[-1].partition(";")[0]) == (1, "error: stopped")
    assert not (home / "postgres" / "data" / "postmaster.pid").exists()


def test_a_killed_database_is_reported_and_a_second_run_loads_the_rest(tmp_path: Path) -> None:
    home, rows = tmp_path / "home", 0
    for number in range(40):
        cells = sample_cells(date(2022, 6, 1) + timedelta(days=number), days=1)
        (tmp_path / f"{number:02d}.csv").write_bytes(as_csv(cells))
        rows += cells.height
    command = [sys.executable, "-m", "ondeck_cli", "ingest", "files", str(tmp_path), "--home", str(home)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "00.csv: " in process.stdout.readline()
    os.kill(int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    _, complaint = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in complaint) == (1, False)
    assert "failed: " in complaint
    assert "run the same command again to ingest it" in complaint
    again = ingest(home, "files", str(tmp_path))
    assert (again.returncode, again.stdout.splitlines()[-1].partition(":")[0]) == (0, f"{rows} rows in")


def test_a_file_with_a_non_utf8_name_is_loaded(tmp_path: Path, store_home: Path, database: Database) -> None:
    path = tmp_path / b"d\xeda.csv".decode(errors="surrogateescape")
    path.write_bytes(as_csv(CELLS))
    done = ingest(store_home, "files", str(tmp_path))
    assert (done.returncode, done.stdout.splitlines()[-1].partition(":")[0]) == (0, f"{CELLS.height} rows in")
    assert database.described


@pytest.mark.parametrize("day", ["0001-01-01", "2007-06-01", "9999-12-31"])
def test_an_impossible_day_is_refused_with_a_reason(tmp_path: Path, day: str) -> None:
    done = ingest(tmp_path, "days", day)
    assert (done.returncode, "is not in the seasons from 2008 to 2039" in done.stderr) == (2, True)


async def test_good_files_beside_a_refused_one_are_stored(
    tmp_path: Path, export_folder: Path, store_home: Path, database: Database
) -> None:
    (tmp_path / "page.csv").write_bytes(b"<html>")
    done = ingest(store_home, "files", str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: 1 of 2 failed, for the reasons above; the others are stored"
    assert export_folder.name in done.stdout
    ((pitches, *_),) = await content(database)
    assert pitches == CELLS.height


def test_a_replay_of_everything_skips_what_is_no_day(tmp_path: Path) -> None:
    day = CELLS["game_date"][0]
    put(tmp_path, "savant", day, as_csv(CELLS))
    (tmp_path / "raw" / "savant" / "lost+found").mkdir()
    done = ingest(tmp_path, "replay")
    assert (
        done.stdout.splitlines()[-1]
        == f"{CELLS.height} rows in: {CELLS.height} new, 0 changed, 0 unchanged, 0 quarantined"
    )


@pytest.mark.parametrize(
    ("cells", "code", "last_lines"),
    [
        (
            CELLS.with_columns(balls=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("4")).otherwise("balls")),
            2,
            [
                "{rows} rows in: {others} new, 0 changed, 0 unchanged, 5 quarantined",
                "  5 x balls: not from 0 to 3",
                "more than 1% of the rows are quarantined; see: ondeck ingest quarantine list",
            ],
        ),
        (
            CELLS.with_columns(launch_speed_angle=pl.lit("barrel")),
            2,
            [
                "{rows} rows in: {rows} new, 0 changed, 0 unchanged, 0 quarantined; {rows} unreadable cells left out",
                "  {rows} x launch_speed_angle: cell left out, not of type integer, for example 'barrel'",
                "more than 1% of the rows were stored without a cell; see: ondeck ingest quarantine cells",
            ],
        ),
        (
            CELLS.with_columns(
                description=pl.when(pl.int_range(pl.len()) < 3).then(pl.lit("a")).otherwise("description")
            ),
            0,
            [
                "{rows} rows in: {rows} new, 0 changed, 0 unchanged, 0 quarantined",
                "  3 x description: code not known, stored as it came, for example 'a'",
            ],
        ),
        (
            CELLS.clear(),
            1,
            ["0 rows in: 0 new, 0 changed, 0 unchanged, 0 quarantined"],
        ),
        (
            CELLS.with_columns(game_date=pl.lit("June")),
            1,
            ["0 rows in: 0 new, 0 changed, 0 unchanged, 0 quarantined"],
        ),
    ],
    ids=["many invalid rows", "an optional column", "a code of no export", "a header only", "no valid row"],
)
def test_rows_that_are_not_complete_are_counted_with_the_reason_and_set_the_exit_code(
    tmp_path: Path, store_home: Path, database: Database, cells: pl.DataFrame, code: int, last_lines: list[str]
) -> None:
    (tmp_path / "rows.csv").write_bytes(as_csv(cells))
    done = ingest(store_home, "files", str(tmp_path / "rows.csv"))
    expected = [line.format(rows=CELLS.height, others=CELLS.height - 5) for line in last_lines]
    assert done.stdout.splitlines()[-len(expected) :] == expected
    assert done.returncode == code
    if cells.is_empty():
        assert "error: the files have a header, but no rows; nothing was stored" in done.stderr
    elif code == 1:
        reason = f"game_date: not of type date ({CELLS.height} rows, for example 'June')"
        assert f"rows.csv failed: none of its {CELLS.height} rows is valid; {reason}" in done.stdout
    assert database.engine.url.query["host"]


def test_new_changed_and_unchanged_rows_are_three_numbers(tmp_path: Path, store_home: Path, database: Database) -> None:
    newer = CELLS.with_columns(
        pitch_type=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("FC")).otherwise("pitch_type")
    )
    for name, cells in (("older", CELLS.tail(-1)), ("newer", newer)):
        (tmp_path / f"{name}.csv").write_bytes(as_csv(cells))
        done = ingest(store_home, "files", str(tmp_path / f"{name}.csv"))
    rows = CELLS.height
    account, order, restore = done.stdout.splitlines()[-3:]
    assert account == f"{rows} rows in: 1 new, 1 changed, {rows - 2} unchanged, 0 quarantined"
    assert order == "  1 changed rows may be from an older download than before (see --downloaded-at)"
    assert restore.startswith("  to restore the former rows: ondeck ingest revert 'newer.csv ")
    assert database.engine.url.query["host"]


async def test_an_invalid_row_is_quarantined_and_counted(tmp_path: Path, store_home: Path, database: Database) -> None:
    invalid = CELLS.with_columns(balls=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("4")).otherwise("balls"))
    (tmp_path / "invalid.csv").write_bytes(as_csv(invalid))
    done = ingest(store_home, "files", str(tmp_path / "invalid.csv"))
    rows = CELLS.height
    assert done.stdout.splitlines()[-2:] == [
        f"{rows} rows in: {rows - 1} new, 0 changed, 0 unchanged, 1 quarantined",
        "  1 x balls: not from 0 to 3",
    ]
    async with database.engine.connect() as connection:
        kept = (await connection.execute(text("SELECT reason FROM quarantine"))).scalars().all()
    assert kept == ["balls: not from 0 to 3"]


async def test_a_simulated_day_is_labelled_in_every_table_and_never_read_as_real(database: Database) -> None:
    day = date(2026, 6, 1)
    taken = await play_game(database.engine, day, seconds=0)
    assert taken.inserted == taken.rows_in > 100
    async with database.engine.connect() as connection:
        for table in ("pitches", "games", "players", "ingest_ledger"):
            labels = (await connection.execute(text(f"SELECT DISTINCT simulated FROM {table}"))).scalars().all()  # noqa: S608  constant table names
            assert labels == [True]
        real = await read_pitches(connection, first_day=day, last_day=day, values={})
    assert real.height == 0


@pytest.mark.realdata
def test_three_real_days_load_completely(real_data: Path, store_home: Path, database: Database) -> None:
    done = ingest(store_home, "files", str(real_data / "statcast_csv"))
    assert done.stdout.splitlines()[-1] == "9033 rows in: 9033 new, 0 changed, 0 unchanged, 0 quarantined"
    again = ingest(store_home, "files", str(real_data / "statcast_csv"))
    assert again.stdout.splitlines()[-1] == "9033 rows in: 0 new, 0 changed, 9033 unchanged, 0 quarantined"
    assert database.described


@pytest.mark.realdata
@pytest.mark.parametrize(("month", "rows", "invalid"), [("03", 51_985, 0), ("09", 112_875, 1), ("10", 2_199, 0)])
def test_a_real_month_loads_completely(
    real_data: Path, store_home: Path, database: Database, month: str, rows: int, invalid: int
) -> None:
    done = ingest(store_home, "files", str(real_data / "statcast" / f"statcast_2024-{month}.parquet"))
    total = f"{rows + invalid} rows in: {rows} new, 0 changed, 0 unchanged, {invalid} quarantined"
    assert total in done.stdout.splitlines()
    assert database.described


@pytest.mark.usefixtures("database")
def test_the_text_of_an_unreadable_cell_is_listed(tmp_path: Path, store_home: Path) -> None:
    is_first = pl.int_range(pl.len()) == 0
    cells = CELLS.with_columns(spin_axis=pl.when(is_first).then(pl.lit("sideways")).otherwise("spin_axis"))
    (tmp_path / "day.csv").write_bytes(as_csv(cells))
    stored = ingest(store_home, "files", str(tmp_path / "day.csv"))
    listed = ingest(store_home, "quarantine", "cells")
    assert stored.stdout.splitlines()[1].startswith(f"{CELLS.height} rows in: {CELLS.height} new")
    assert "1 x spin_axis: cell left out" in stored.stdout
    assert "unreadable cells: 1" in listed.stdout, listed.stderr
    assert "spin_axis" in listed.stdout
    assert "sideways" in listed.stdout
