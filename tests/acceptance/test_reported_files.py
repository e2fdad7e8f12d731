"""Files that users reported, beside the real data: each is read with the right values, or refused by what it is."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import ParseResult, parse_cells
from ondeck_core.tasks import TASKS
from ondeck_trainer.data.dataset import Dataset, NoTaskRowsError, build_dataset
from ondeck_trainer.data.source import read_statcast_files

pytestmark = pytest.mark.realdata


@pytest.fixture
def cases(real_data: Path) -> Path:
    folder = real_data.parent / "cases"
    if not (folder / "containers").is_dir():
        pytest.skip(f"no reported files in {folder}")
    return folder


def read(file: Path) -> ParseResult:
    reading = parse_cells(decode_cells(file.read_bytes()))
    assert (reading.rows.height, reading.rejected.height, reading.unknown) == (12, 0, ())
    return reading


def build(file: Path, task: str) -> Dataset:
    source = read_statcast_files([file], TASKS[task])
    return build_dataset(TASKS[task], source.rows, source.account)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("capital-headers/snowflake.csv", "index-column/plain.csv"),
        *((f"containers/{name}", "index-column/plain.csv") for name in ("export.csv.bz2", "export.zip", "utf16.csv")),
        *((f"index-column/{name}.csv", "index-column/plain.csv") for name in "ab"),
        *((f"other-separators/{name}", "index-column/plain.csv") for name in ("semicolon.csv", "tab.tsv")),
        ("other-separators/semicolon-comma.csv", "index-column/plain.csv"),
    ],
)
def test_what_a_tool_saved_again_is_the_plain_export(cases: Path, name: str, plain: str) -> None:
    assert read(cases / name).rows.equals(read(cases / plain).rows)


def test_json_lines_are_refused_by_their_name(cases: Path) -> None:
    with pytest.raises(SourceRefusedError, match="it is JSON, not a table: write it as CSV or parquet"):
        decode_cells((cases / "containers" / "rows.jsonl").read_bytes())


def test_the_fielders_of_2017_are_read(cases: Path) -> None:
    rows = read(cases / "columns-of-2017" / "2017.csv").rows
    assert rows.select(f"fielder_{position}" for position in range(2, 10)).row(0) == tuple(range(920002, 920010))


def test_files_without_a_row_of_the_task_are_refused(cases: Path) -> None:
    with pytest.raises(NoTaskRowsError, match="no usable row of the task called_strike in these rows: 4 rows read"):
        build(next(cases.glob("*/home-runs.csv")), "called_strike")


@pytest.mark.parametrize(("task", "rows", "labels"), [("whiff", 9, {0: 7, 1: 2}), ("pitch_outcome", 12, None)])
def test_all_swings_of_2018_are_used(cases: Path, task: str, rows: int, labels: dict[int, int] | None) -> None:
    dataset = build(cases / "old-descriptions" / "2018.csv", task)
    assert (dataset.account.read, dataset.account.used, len(dataset)) == (12, rows, rows)
    if labels is not None:
        assert dict(pl.Series(dataset.labels).value_counts(sort=True).iter_rows()) == labels


def test_a_cell_that_no_task_needs_takes_no_row(cases: Path) -> None:
    folder = cases / "optional-cell"
    changed, untouched = (read(folder / name) for name in ("barrels.csv", "untouched.csv"))
    assert [(each.name, each.rows) for each in changed.unreadable] == [("launch_speed_angle", 4)]
    left_out = ["launch_speed_angle", "unreadable_cells"]
    assert changed.rows.drop(left_out).equals(untouched.rows.drop(left_out))
    assert len(build(folder / "barrels.csv", "whiff")) == len(build(folder / "untouched.csv", "whiff")) == 9


@pytest.mark.parametrize("name", ["day-first", "month-first"])
def test_spreadsheet_dates_with_one_reading_are_read(cases: Path, name: str) -> None:
    assert set(read(cases / "spreadsheet-dates" / f"{name}.csv").rows["game_date"]) == {
        date(2025, 9, 30),
        date(2025, 10, 1),
    }


def test_spreadsheet_dates_with_two_readings_are_refused_and_read_when_rewritten(cases: Path) -> None:
    folder = cases / "set-aside-for-ever"
    with pytest.raises(SourceRefusedError, match="two readings: game_date '6/10/2025'"):
        decode_cells((folder / "first-try.csv").read_bytes())
    assert set(read(next(folder.glob("m*.csv"))).rows["game_date"]) == {date(2025, 6, 10)}


def test_both_downloads_have_the_same_pitches(cases: Path) -> None:
    older, newer = (read(next(cases.glob(f"*/{name}-download.csv"))).rows for name in ("older", "newer"))
    assert older.drop("pitch_type").equals(newer.drop("pitch_type"))
    assert not older.equals(newer)
