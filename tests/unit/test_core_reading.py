from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.contract import EMPTIED, NAMES, REQUIRED, SCHEMA
from ondeck_core.statcast.reading import read_cells

A_ROW = {
    "game_pk": "1",
    "at_bat_number": "1",
    "pitch_number": "1",
    "game_date": "2024-05-02",
    "game_year": "2024",
    "batter": "1000001",
    "pitcher": "1000002",
    "game_type": "R",
    "description": "ball",
    "balls": "0",
    "strikes": "0",
    "outs_when_up": "0",
    "inning": "1",
    "inning_topbot": "Top",
    "stand": "L",
    "p_throws": "R",
    "home_team": "AZ",
    "away_team": "WSH",
    "type": "B",
    "player_name": "Peña, José",
    "plate_x": "-0.31",
    "vx0": "4.60726454945238",
}


def cells(*rows: Mapping[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([{**A_ROW, **row} for row in rows], schema=dict.fromkeys(A_ROW, pl.String))


def test_a_row_that_fits_is_typed_by_the_contract() -> None:
    reading = read_cells(cells({}))
    assert dict(reading.rows.schema) == SCHEMA
    assert reading.misfits.height == 0
    row = reading.rows.row(0, named=True)
    assert (row["game_date"], row["batter"], row["player_name"]) == (date(2024, 5, 2), 1000001, "Peña, José")
    assert row["vx0"] == 4.60726454945238
    assert row["sz_top"] is None


@pytest.mark.parametrize("null", ["", "  ", "null", "NA", "nan", None])
def test_every_spelling_of_nothing_is_nothing(null: str | None) -> None:
    assert read_cells(cells({"plate_x": null})).rows["plate_x"].to_list() == [None]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ({"balls": "4"}, "balls: not from 0 to 3"),
        ({"batter": ""}, "batter: is required"),
        ({"batter": "-1"}, "batter: not from 1 to 2147483647"),
        ({"batter": "Trout, Mike"}, "batter: not of type integer"),
        ({"plate_x": "left"}, "plate_x: not of type real"),
        ({"plate_x": "inf"}, "plate_x: not of type real"),
        ({"game_date": "yesterday"}, "game_date: not of type date"),
        ({"game_year": "1876"}, "game_year: not from 2008 to 2039"),
    ],
)
def test_a_row_that_does_not_fit_is_set_aside_with_its_reason_and_its_text(cell: dict[str, str], reason: str) -> None:
    reading = read_cells(cells({"pitch_number": "2"}, cell))
    assert reading.rows["pitch_number"].to_list() == [2]
    misfit = reading.misfits.row(0, named=True)
    assert misfit == {**A_ROW, **cell, "reason": reason}


def test_an_id_that_became_a_float_is_read_as_the_integer_it_was() -> None:
    assert read_cells(cells({"batter": "660271.0"})).rows["batter"].to_list() == [660271]


def test_of_a_key_that_comes_twice_the_later_row_is_set_aside() -> None:
    reading = read_cells(cells({"plate_x": "0.1"}, {"plate_x": "0.2"}))
    assert reading.rows["plate_x"].to_list() == [pytest.approx(0.1)]
    assert reading.misfits["reason"].to_list() == ["key: occurs twice"]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_table_without_a_required_column_is_refused_whole(name: str) -> None:
    with pytest.raises(SourceRefusedError, match=name):
        read_cells(cells({}).drop(name))


@pytest.mark.realdata
def test_every_column_of_a_real_export_is_in_the_contract(real_data: Path) -> None:
    columns = set(pl.read_parquet_schema(real_data / "statcast" / "statcast_2024-10.parquet"))
    assert columns - set(NAMES) == EMPTIED
    assert set(NAMES) <= columns


@pytest.mark.realdata
def test_a_real_month_loses_no_row_and_no_cell(real_data: Path) -> None:
    month = pl.read_parquet(real_data / "statcast" / "statcast_2024-09.parquet")
    reading = read_cells(month)
    assert reading.rows_in == month.height
    assert reading.misfits["reason"].to_list() == ["balls: not from 0 to 3"]
    fitting = month.join(reading.misfits, on=["game_pk", "at_bat_number", "pitch_number"], how="anti")
    filled = {name: fitting[name].is_not_null().sum() for name in NAMES}
    assert {name: reading.rows[name].is_not_null().sum() for name in NAMES} == filled
