"""Exports of former years have the codes of today: descriptions, events, pitch types, teams, fielders and parks."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from ondeck_core.categories import Park
from ondeck_core.statcast.decode import decode_cells
from ondeck_core.statcast.legacy_codes import CODES, DESCRIPTIONS, EVENTS
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.statcast.row_checks import count_unknown_codes
from ondeck_core.statcast.schema import KEY
from ondeck_core.task_rows import label, label_columns, park_code, population
from ondeck_core.tasks import TASKS
from tests.unit.test_core_statcast_parse import cells

OF_2016 = {
    "ball": "Ball",
    "blocked_ball": "Ball In Dirt",
    "called_strike": "Called Strike",
    "foul": "Foul (Runner Going)",
    "foul_tip": "Foul Tip",
    "foul_bunt": "Foul Bunt",
    "hit_by_pitch": "Hit By Pitch",
    "hit_into_play": "In play, out(s)",
    "missed_bunt": "Missed Bunt",
    "swinging_strike": "Swinging Strike",
    "swinging_strike_blocked": "Swinging Strike (Blocked)",
}
EVENTS_OF_2016 = {
    "single": "Single",
    "double": "Double",
    "triple": "Triple",
    "home_run": "Home Run",
    "force_out": "Forceout",
    "grounded_into_double_play": "Grounded Into DP",
    "sac_fly": "Sac Fly",
    "sac_bunt": "Sac Bunt",
    "field_error": "Field Error",
    "fielders_choice": "Fielders Choice",
    "fielders_choice_out": "Fielders Choice Out",
    "double_play": "Double Play",
    "strikeout": "Strikeout",
    "strikeout_double_play": "Strikeout - DP",
    "walk": "Walk",
    "hit_by_pitch": "Hit By Pitch",
}
OUTS_OF_2016 = {"ground_ball": "Groundout", "fly_ball": "Flyout", "line_drive": "Lineout", "popup": "Pop Out"}
IN_PLAY = {  # an out, no out, a run
    2016: ("In play, out(s)", "In play, no out", "In play, run(s)"),
    2019: ("hit_into_play", "hit_into_play_no_out", "hit_into_play_score"),
}


def _reword(year: int) -> list[pl.Expr]:
    """Return the descriptions and events of today in the wording of a year."""
    out, no_out, run = IN_PLAY[year]
    in_play = (
        pl.when(pl.col("des").str.contains("scores|homers"))
        .then(pl.lit(run))
        .when(pl.col("events").is_in(["single", "double", "triple", "field_error"]))
        .then(pl.lit(no_out))
        .otherwise(pl.lit(out))
    )
    is_2016 = year == 2016
    description = pl.col("description").replace(OF_2016 if is_2016 else {})
    is_out = (pl.col("events") == "field_out") & pl.lit(is_2016)
    events = pl.col("events").replace(EVENTS_OF_2016 if is_2016 else {})
    return [
        pl.when(pl.col("description") == "hit_into_play").then(in_play).otherwise(description).alias("description"),
        pl.when(is_out).then(pl.col("bb_type").replace(OUTS_OF_2016)).otherwise(events).alias("events"),
    ]


@pytest.mark.parametrize(
    ("column", "old", "current"),
    [
        ("description", "hit_into_play_no_out", "hit_into_play"),
        ("description", "hit_into_play_score", "hit_into_play"),
        ("description", "In play, run(s)", "hit_into_play"),
        ("description", "In play, out(s)", "hit_into_play"),
        ("description", "Swinging Strike (Blocked)", "swinging_strike_blocked"),
        ("description", "Ball In Dirt", "blocked_ball"),
        ("description", "Foul (Runner Going)", "foul"),
        ("description", "Foul Tip", "foul_tip"),
        ("description", "Ball", "ball"),
        ("description", "bunt_foul_tip", "bunt_foul_tip"),
        ("description", "HIT_INTO_PLAY", "hit_into_play"),
        ("description", "In play, no out", "hit_into_play"),
        ("description", "Hit Into Play - No Out(s)", "hit_into_play"),
        ("description", "Pitchout Hit Into Play - Run(s)", "pitchout_hit_into_play"),
        ("description", "pitchout_hit_into_play_score", "pitchout_hit_into_play"),
        ("description", "Strike - Swinging Blocked", "swinging_strike_blocked"),
        ("description", "Strike - Foul on Pitchout", "foul_pitchout"),
        ("description", "Ball - Ball In Dirt", "blocked_ball"),
        ("description", "Automatic Ball - Pitcher Pitch Timer Violation", "automatic_ball"),
        ("description", "Automatic Strike - Batter Timeout Violation", "automatic_strike"),
        ("description", "Swinging Pitchout", "swinging_pitchout"),
        ("description", "Unknown Strike", "unknown_strike"),
        ("events", "Caught Stealing 2B", "caught_stealing_2b"),
        ("events", "Pickoff Caught Stealing Home", "pickoff_caught_stealing_home"),
        ("events", "Bunt Lineout", "field_out"),
        ("events", "Fly Out", "field_out"),
        ("events", "Sac Fly DP", "sac_fly_double_play"),
        ("events", "Sacrifice Bunt DP", "sac_bunt_double_play"),
        ("events", "Batter Interference", "batter_interference"),
        ("events", "Fielders Choice Out", "fielders_choice_out"),
        ("events", "Grounded Into DP", "grounded_into_double_play"),
        ("events", "Strikeout - DP", "strikeout_double_play"),
        ("events", "Pop Out", "field_out"),
        ("events", "Home Run", "home_run"),
        ("events", "Intent Walk", "intent_walk"),
        ("events", "catcher_interf", "catcher_interf"),
        ("pitch_type", "FT", "SI"),
        ("pitch_type", "ff", "FF"),
        ("home_team", "CHA", "CWS"),
        ("away_team", "ARI", "AZ"),
        ("home_team", "WSN", "WSH"),
        ("inning_topbot", "bot", "Bot"),
        ("inning_topbot", "Bottom", "Bot"),
    ],
)
def test_a_wording_of_any_year_becomes_the_code_of_today(column: str, old: str, current: str) -> None:
    assert parse_cells(cells({}).with_columns(pl.lit(old).alias(column))).rows[column].to_list() == [current]


@pytest.mark.parametrize(
    ("team", "day", "park"),
    [
        ("TOR", date(2019, 6, 1), Park.ROGERS_CENTRE),
        ("TOR", date(2020, 9, 1), None),
        ("TOR", date(2021, 6, 1), None),
        ("TOR", date(2021, 8, 1), Park.ROGERS_CENTRE),
        ("TB", date(2024, 6, 1), Park.TROPICANA_FIELD),
        ("TB", date(2025, 6, 1), Park.STEINBRENNER_FIELD),
        ("FLA", date(2011, 6, 1), None),
        ("MIA", date(2012, 6, 1), Park.LOANDEPOT_PARK),
        ("TEX", date(2019, 6, 1), None),
        ("OAK", date(2024, 6, 1), Park.OAKLAND_COLISEUM),
        ("ATH", date(2025, 6, 1), Park.SUTTER_HEALTH_PARK),
        ("ATH", date(2024, 6, 1), Park.OAKLAND_COLISEUM),
        ("OAK", date(2025, 6, 1), Park.SUTTER_HEALTH_PARK),
        ("LV", date(2024, 6, 1), None),
    ],
)
def test_the_park_is_where_the_home_team_played_on_that_day(team: str, day: date, park: Park | None) -> None:
    table = cells({"home_team": team, "game_date": str(day), "game_year": str(day.year)})
    assert parse_cells(table).rows.select(park_code()).to_series().to_list() == [park]


@pytest.mark.parametrize("codes", [DESCRIPTIONS, EVENTS])
def test_every_former_code_becomes_one_of_today(codes: Mapping[str, str]) -> None:
    column = "description" if codes is DESCRIPTIONS else "events"
    assert set(codes.values()) <= CODES[column]
    assert not set(codes) & CODES[column]
    for task in TASKS.values():
        if task.outcome_column == column:
            assert set(task.outcome_by_value) <= CODES[column]


def test_codes_that_no_export_is_known_to_have_are_counted_with_one_of_them() -> None:
    rows = parse_cells(cells({}, {"pitch_number": "2", "description": "no_idea"})).rows
    assert count_unknown_codes(rows) == {"description: code not known, stored as it came, for example 'no_idea'": 1}


@pytest.mark.realdata
def test_every_code_of_a_real_season_is_known(real_data: Path) -> None:
    for file in sorted((real_data / "statcast").glob("*.parquet")):
        codes = pl.read_parquet(file, columns=list(CODES))
        assert all(set(codes[name].drop_nulls().unique()) <= CODES[name] for name in CODES)


@pytest.mark.parametrize("position", range(1, 10))
def test_fielders_of_2017_are_read_under_their_current_names(position: int) -> None:
    reading = parse_cells(cells({}).with_columns(pl.lit("660271").alias(f"pos{position}_person_id")))
    assert reading.unknown == ()
    if position > 1:
        assert reading.rows[f"fielder_{position}"].to_list() == [660271]


@pytest.mark.realdata
@pytest.mark.parametrize("year", IN_PLAY)
@pytest.mark.parametrize("day", ["2024-03-20", "2024-05-02", "2024-06-26"])
def test_the_population_of_a_task_does_not_depend_on_the_wording_of_the_year(
    real_data: Path, day: str, year: int
) -> None:
    cells_of_today = decode_cells((real_data / "statcast_csv" / f"statcast_{day}.csv.gz").read_bytes())
    reworded = cells_of_today.with_columns(_reword(year))
    changed = reworded["description"] != cells_of_today["description"]
    assert changed.mean() > (0.9 if year == 2016 else 0.05)  # type: ignore[operator]
    for task in TASKS.values():
        today, then = (parse_cells(each).rows.filter(population(task)) for each in (cells_of_today, reworded))
        columns = [*KEY, *label_columns(task)]
        assert then.select(label(task)).equals(today.select(label(task)))
        assert then.select(columns).equals(today.select(columns))
        assert today.height > 50
