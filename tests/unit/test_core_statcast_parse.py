"""Parsing of Statcast rows: types, rejections and unknown columns."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.parse import CHUNK_ROWS, EXTRA, parse_cells
from ondeck_core.statcast.row_checks import UNREADABLE_CELLS
from ondeck_core.statcast.schema import NAMES, NULLS, REQUIRED, RETIRED_COLUMNS, SCHEMA

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


OF_ANOTHER_YEAR = "game_year: not that of the game's other pitches"


def cells(*rows: Mapping[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([{**A_ROW, **row} for row in rows], schema=dict.fromkeys(A_ROW, pl.String))


def test_a_valid_row_is_typed_by_the_schema() -> None:
    reading = parse_cells(cells({}, {"pitch_number": "2", "batter": "1000003"}))
    assert dict(reading.rows.schema) == {**SCHEMA, EXTRA: pl.String, UNREADABLE_CELLS: pl.String}
    assert reading.rejected.height == 0
    row = reading.rows.row(0, named=True)
    assert (row["game_date"], row["batter"], row["player_name"]) == (date(2024, 5, 2), 1000001, "Peña, José")
    assert row["vx0"] == 4.60726454945238
    assert row["sz_top"] is None


@pytest.mark.parametrize("null", [*NULLS, "  ", None])
def test_every_spelling_of_null_is_null(null: str | None) -> None:
    assert parse_cells(cells({"plate_x": null})).rows["plate_x"].to_list() == [None]


@pytest.mark.parametrize(
    ("cell", "code", "reason"),
    [
        ({"balls": "4"}, "out_of_range", "balls: not from 0 to 3"),
        ({"batter": ""}, "missing", "batter: is required"),
        ({"batter": "-1"}, "out_of_range", "batter: not from 1 to 2147483647"),
        ({"batter": "Trout, Mike"}, "unreadable", "batter: not of type integer"),
        ({"game_date": "yesterday"}, "unreadable", "game_date: not of type date"),
        ({"game_year": "1876"}, "out_of_range", "game_year: not from 2008 to 2039"),
        ({"at_bat_number": "null"}, "no_key", "at_bat_number: is required"),
        ({"at_bat_number": "0"}, "out_of_range", "at_bat_number: not from 1 to 999"),
        ({"game_date": "0000-01-01"}, "contradictory", "game_date: not in game_year"),
        ({"game_date": "2023-05-02", "game_year": "2023"}, "contradictory", OF_ANOTHER_YEAR),
    ],
)
def test_an_invalid_row_is_rejected_with_its_reason_and_text(cell: dict[str, str], code: str, reason: str) -> None:
    reading = parse_cells(cells({"pitch_number": "2"}, cell))
    assert reading.rows["pitch_number"].to_list() == [2]
    misfit = reading.rejected.row(0, named=True)
    assert misfit == {**A_ROW, **cell, "code": code, "reason": reason}


def test_an_id_written_as_a_float_is_read_as_an_integer() -> None:
    assert parse_cells(cells({"batter": "660271.0"})).rows["batter"].to_list() == [660271]


def test_the_later_row_of_a_duplicate_key_is_rejected() -> None:
    reading = parse_cells(cells({"plate_x": "0.1"}, {"plate_x": "0.2"}))
    assert reading.rows["plate_x"].to_list() == [pytest.approx(0.1)]
    assert reading.rejected["reason"].to_list() == ["key: occurs twice"]


def test_a_valid_row_is_not_rejected_for_an_invalid_duplicate() -> None:
    wrong = {"balls": "4", "game_date": "2023-05-02", "game_year": "2023"}
    reading = parse_cells(cells(wrong, {}))
    assert reading.rows["game_date"].to_list() == [date(2024, 5, 2)]
    assert reading.rejected["code"].to_list() == ["out_of_range"]


@pytest.mark.parametrize("null", ["-1", "-1.0", "null"])
def test_an_absent_player_is_null(null: str) -> None:
    reading = parse_cells(cells({}).with_columns(on_1b=pl.lit(null), fielder_9=pl.lit("660271.0")))
    assert reading.rows.select("on_1b", "fielder_9").rows() == [(None, 660271)]


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("on_1b", "0", "integer"),
        ("on_1b", "-7", "integer"),
        ("fielder_2", "660271.5", "integer"),
        ("launch_speed_angle", "barrel", "integer"),
        ("release_spin_rate", "2,300", "integer"),
        ("plate_x", "left", "real"),
        ("vx0", "inf", "double"),
    ],
)
def test_a_row_is_stored_without_an_unreadable_optional_cell_whose_text_is_kept(
    name: str, text: str, kind: str
) -> None:
    table = cells({}, {"pitch_number": "2"}).with_columns(pl.Series(name, [None, text], dtype=pl.String))
    reading = parse_cells(table)
    assert reading.rows[name].to_list() == [None, None]
    assert [json.loads(each) if each else None for each in reading.rows[UNREADABLE_CELLS]] == [None, {name: text}]
    (summary,) = reading.unreadable
    assert (summary.name, summary.rows, summary.sample) == (name, 1, text)
    assert str(summary) == f"{name}: cell left out, not of type {kind}, for example {text!r}"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("7e+05", 700000), ("7.45801e+05", 745801), ("7.45801E+05", 745801), ("7.458010e5", 745801)),
        *(("7.46E+05", None), ("7.46e+05", None), ("7E+05", None), ("7.45801e+02", None)),
    ],
)
def test_an_id_in_exponent_form_is_read_unless_it_may_be_rounded(text: str, number: int | None) -> None:
    reading = parse_cells(cells({"batter": text}, {"pitch_number": "2"}))
    assert reading.rows.filter(pl.col("pitch_number") == 1)["batter"].to_list() == ([] if number is None else [number])


def test_columns_with_internal_names_are_kept() -> None:
    internal = {"code": "K", "reason": "looking", "extra": "1", "simulated": "no"}
    table = cells({}, {"pitch_number": "2", "balls": "4"}).with_columns(pl.lit(v).alias(k) for k, v in internal.items())
    reading = parse_cells(table)
    assert reading.rows[EXTRA].to_list() == ['{"code":"K","reason":"looking","extra":"1","simulated":"no"}']
    misfit = reading.rejected.row(0, named=True)
    assert (misfit["code"], misfit["code (as it came)"], misfit["reason (as it came)"]) == (
        "out_of_range",
        "K",
        "looking",
    )


def test_a_long_table_is_read_in_chunks_with_the_same_result() -> None:
    rows = [{"at_bat_number": str(1 + number // 900), "pitch_number": str(1 + number % 900)} for number in range(9)]
    once, thrice = cells(*rows), cells(*rows, *rows, *rows)
    long = pl.concat([thrice] * (2 + 2 * CHUNK_ROWS // thrice.height))
    assert long.height > 2 * CHUNK_ROWS
    reading = parse_cells(long)
    assert reading.rows.equals(parse_cells(once).rows, null_equal=True)
    assert reading.rejected["code"].unique().to_list() == ["repeated_key"]
    assert reading.rows_in == long.height


@pytest.mark.parametrize("name", REQUIRED)
def test_a_table_without_a_required_column_is_refused_whole(name: str) -> None:
    with pytest.raises(SourceRefusedError, match=name):
        parse_cells(cells({}).drop(name))


@pytest.mark.realdata
def test_every_column_of_a_real_export_is_in_the_schema(real_data: Path) -> None:
    columns = set(pl.read_parquet_schema(real_data / "statcast" / "statcast_2024-10.parquet"))
    assert columns - set(NAMES) == RETIRED_COLUMNS
    assert set(NAMES) <= columns


@pytest.mark.realdata
def test_a_real_month_loses_no_row_and_no_cell(real_data: Path) -> None:
    month = pl.read_parquet(real_data / "statcast" / "statcast_2024-09.parquet")
    reading = parse_cells(month)
    assert reading.rows_in == month.height
    assert reading.rejected["reason"].to_list() == ["balls: not from 0 to 3"]
    fitting = month.join(reading.rejected, on=["game_pk", "at_bat_number", "pitch_number"], how="anti")
    filled = {name: fitting[name].is_not_null().sum() for name in NAMES}
    assert {name: reading.rows[name].is_not_null().sum() for name in NAMES} == filled


def test_unknown_columns_are_kept_and_reported() -> None:
    table = cells({}, {"pitch_number": "2"}).with_columns(swing_mood=pl.Series(["calm", None]))
    reading = parse_cells(table)
    assert reading.unknown == ("swing_mood",)
    assert reading.rows[EXTRA].to_list() == ['{"swing_mood":"calm"}', None]


def test_missing_columns_differ_from_empty_ones() -> None:
    table = cells({}).with_columns(bat_speed=pl.lit(None, dtype=pl.String))
    assert {"bat_speed", "arm_angle", EXTRA} & set(parse_cells(table).absent) == {"arm_angle", EXTRA}
    assert EXTRA not in parse_cells(table.with_columns(swing_mood=pl.lit("calm"))).absent


@pytest.mark.parametrize("repeat", ["pitcher_1", "pitcher.1", "pitcher_duplicated_0"])
def test_a_duplicate_column_is_not_unknown(repeat: str) -> None:
    assert parse_cells(cells({}).with_columns(pl.lit("1000002").alias(repeat))).unknown == ()


NAMED = [
    ([("A, A", 1, 11), ("A, A", 1, 12), ("B, B", 2, 11)], ["A, A", "A, A", "B, B"]),
    ([("A, A", 1, 11), ("A, A", 1, 12), ("B, B", 1, 13), ("C, C", 1, 14)], [None, None, None, None]),
    ([("A, A", 1, 11), ("A, A", 2, 11), ("B, B", 3, 12)], [None, None, None]),
    ([("A, A", 1, 11)], [None]),
    ([(None, 1, 11), (None, 1, 12)], [None, None]),
]


@pytest.mark.parametrize(
    ("rows", "names"), NAMED, ids=["pitchers'", "one pitcher's batters'", "batters'", "undecidable", "none"]
)
def test_player_name_is_used_only_for_the_pitcher(
    rows: list[tuple[str | None, int, int]], names: list[str | None]
) -> None:
    table = cells(
        *(
            {"player_name": name, "pitcher": str(pitcher), "batter": str(batter), "pitch_number": str(number)}
            for number, (name, pitcher, batter) in enumerate(rows, 1)
        )
    )
    assert parse_cells(table).rows["player_name"].to_list() == names


@pytest.mark.parametrize("name", ["Peña, José", "José Peña"])
def test_a_player_name_that_starts_the_descriptions_is_the_batters(name: str) -> None:
    rows = [{"batter": str(11 + number), "pitch_number": str(1 + number), "player_name": name} for number in range(4)]
    table = cells(*rows)
    assert parse_cells(table).rows["player_name"].null_count() == 0
    with_descriptions = table.with_columns(des=pl.lit("José Peña walks."))
    assert parse_cells(with_descriptions).rows["player_name"].null_count() == 4


def test_a_column_under_both_names_is_read_under_the_current_one() -> None:
    reading = parse_cells(cells({}).with_columns(start_speed=pl.lit("90.1"), release_speed=pl.lit("91.2")))
    assert reading.rows["release_speed"].to_list() == [pytest.approx(91.2)]
    assert reading.unknown == ("start_speed",)


def test_an_export_of_2016_becomes_the_same_typed_row_and_has_no_key() -> None:
    old = {
        "start_speed": "90.21     ",
        "px": "0.916",
        "pz": "1.969               ",
        "pfx_x": "-3.00                 ",
        "hit_speed": "null",
        "hc_x": "0.0000",
        "events": "Walk",
        "description": "Called Strike",
        "inning_topbot": "bot",
        "pitch_id": "51",
    }
    table = (
        cells({})
        .drop("at_bat_number", "pitch_number", "plate_x")
        .with_columns(pl.lit(value).alias(name) for name, value in old.items())
    )
    reading = parse_cells(table)
    assert (reading.rows.height, reading.unknown) == (0, ())
    assert reading.rejected["code"].to_list() == ["no_key"]
    row = reading.keyless.row(0, named=True)
    assert row["release_speed"] == pytest.approx(90.21)
    assert (row["plate_x"], row["pfx_x"]) == (pytest.approx(0.916), pytest.approx(-0.25))
    assert (row["events"], row["description"], row["inning_topbot"]) == ("walk", "called_strike", "Bot")
    assert (row["launch_speed"], row["hc_x"]) == (None, None)


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "stored", "keyless", "rejected", "named"),
    [
        ("savant_2016_mike_trout", 0, 3014, 3014, False),
        ("savant_2019_07_darvish", 438, 0, 0, True),
        ("savant_2020_09_03", 2507, 0, 0, True),
        ("savant_2020_09_03_one_game", 336, 0, 0, False),
        ("savant_2023_06_11_written_by_r", 4418, 0, 0, False),
    ],
)
def test_every_export_format_is_read(
    real_data: Path, name: str, stored: int, keyless: int, rejected: int, *, named: bool
) -> None:
    reading = parse_cells(decode_cells((real_data / "schema_samples" / f"{name}.csv.gz").read_bytes()))
    assert (reading.rows.height, reading.keyless.height, reading.rejected.height) == (stored, keyless, rejected)
    assert reading.unknown == ()
    assert reading.rows["player_name"].is_not_null().any() == named
    typed = reading.rows if stored else reading.keyless
    assert typed["release_speed"].is_not_null().mean() > 0.9  # type: ignore[operator]  # a share of booleans
    assert typed["plate_x"].drop_nulls().abs().median() < 2  # type: ignore[operator]  # of numbers
    assert typed["pfx_z"].drop_nulls().abs().median() < 2  # type: ignore[operator]  # in feet, not in inches
