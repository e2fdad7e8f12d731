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
OF_2019 = {"hit_into_play": "hit_into_play_no_out"}
HITS_OF_2016 = {"single": "Single", "double": "Double", "triple": "Triple", "home_run": "Home Run"}


def _reword(wording: Mapping[str, str]) -> list[pl.Expr]:
    events = HITS_OF_2016 if wording is OF_2016 else {}
    scored = pl.col("des").str.contains("scores|homers")
    in_play = {"hit_into_play": "In play, run(s)" if wording is OF_2016 else "hit_into_play_score"}
    description = pl.col("description")
    return [
        pl.when(scored).then(description.replace({**wording, **in_play})).otherwise(description.replace(wording)),
        pl.col("events").replace(events),
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
@pytest.mark.parametrize("wording", [OF_2016, OF_2019])
def test_the_population_of_a_task_does_not_depend_on_the_wording_of_the_year(
    real_data: Path, wording: Mapping[str, str]
) -> None:
    day = decode_cells((real_data / "statcast_csv" / "statcast_2024-05-02.csv.gz").read_bytes())
    reworded = day.with_columns(_reword(wording))
    assert not reworded["description"].equals(day["description"])
    for task in TASKS.values():
        today, then = (parse_cells(each).rows.filter(population(task)) for each in (day, reworded))
        columns = [*KEY, *label_columns(task)]
        assert then.select(columns).equals(today.select(columns))
        assert then.select(label(task)).equals(today.select(label(task)))
        assert today.height > 200
