"""The league of a row: the one in which both of its teams play, else unknown."""

import polars as pl
import pytest

from ondeck_core.statcast.leagues import INTERNATIONAL, LEAGUE, MAJOR, MINOR, UNKNOWN
from ondeck_core.statcast.legacy_codes import TEAMS
from ondeck_core.statcast.parse import parse_cells
from tests.unit.test_core_statcast_parse import cells


@pytest.mark.parametrize(
    ("home", "away", "game_type", "league"),
    [
        ("BOS", "NYY", "R", MAJOR),
        ("ATH", "OAK", "S", MAJOR),
        ("AL", "NL", "A", MAJOR),
        ("ROC", "STP", "R", MINOR),
        ("NOR", "GWN", "R", MINOR),
        ("FRE", "CSP", "R", MINOR),
        ("JUP", "BRD", "R", MINOR),
        ("COL", "IND", "R", MINOR),  # the Columbus Clippers
        ("COL", "CHC", "R", MAJOR),  # the Colorado Rockies
        ("COL", "USA", "F", INTERNATIONAL),  # Colombia
        ("JPN", "CZE", "F", INTERNATIONAL),
        ("USA", "JPN", "CW", INTERNATIONAL),
        ("CHN", "JPN", "F", INTERNATIONAL),
        ("BOS", "NEU", "E", UNKNOWN),
        ("SEA", "LV", "R", UNKNOWN),
        ("SIM-A", "SIM-B", "R", UNKNOWN),
        ("COL", "CHN", "F", UNKNOWN),  # Colombia and China, or the Rockies and the Cubs as Retrosheet writes them
        ("COL", "CHN", "R", MAJOR),  # the Classic has no regular season
        ("COL", "TOR", "F", MAJOR),
    ],
)
def test_the_teams_show_the_league(home: str, away: str, game_type: str, league: str) -> None:
    for table in (cells({"home_team": home, "away_team": away, "game_type": game_type}),):
        assert parse_cells(table).rows.select(LEAGUE).to_series().to_list() == [league]
        swapped = table.rename({"home_team": "away_team", "away_team": "home_team"})
        assert parse_cells(swapped).rows.select(LEAGUE).to_series().to_list() == [league]


@pytest.mark.parametrize("code", TEAMS)
def test_a_former_code_of_a_club_is_of_the_major_leagues(code: str) -> None:
    row = parse_cells(cells({"home_team": code, "away_team": "BOS"})).rows
    assert row["home_team"].to_list() == [TEAMS[code]]
    assert row.select(LEAGUE).to_series().to_list() == [MAJOR]


def test_a_nation_keeps_its_code_where_a_club_once_had_it() -> None:
    rows = parse_cells(cells({"home_team": "CHN", "away_team": "JPN", "game_type": "F"})).rows
    assert rows.select("home_team", "away_team").row(0) == ("CHN", "JPN")


def test_a_row_without_a_team_has_no_league() -> None:
    row = pl.DataFrame({"home_team": ["BOS", None], "away_team": [None, "NYY"], "game_type": ["R", None]})
    assert row.select(LEAGUE).to_series().to_list() == [UNKNOWN, UNKNOWN]
