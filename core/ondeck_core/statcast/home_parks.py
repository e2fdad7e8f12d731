"""Which park a row was played in: the home team and the season say, but for the few games on neutral ground."""

from typing import Final

import polars as pl

from ondeck_core.categories import Park

_HOMES: Final = {
    "LAA": Park.ANGEL_STADIUM,
    "AZ": Park.CHASE_FIELD,
    "ATL": Park.TRUIST_PARK,
    "BAL": Park.CAMDEN_YARDS,
    "BOS": Park.FENWAY_PARK,
    "CHC": Park.WRIGLEY_FIELD,
    "CWS": Park.RATE_FIELD,
    "CIN": Park.GREAT_AMERICAN_BALL_PARK,
    "CLE": Park.PROGRESSIVE_FIELD,
    "COL": Park.COORS_FIELD,
    "DET": Park.COMERICA_PARK,
    "HOU": Park.DAIKIN_PARK,
    "KC": Park.KAUFFMAN_STADIUM,
    "LAD": Park.DODGER_STADIUM,
    "MIA": Park.LOANDEPOT_PARK,
    "MIL": Park.AMERICAN_FAMILY_FIELD,
    "MIN": Park.TARGET_FIELD,
    "NYM": Park.CITI_FIELD,
    "NYY": Park.YANKEE_STADIUM,
    "OAK": Park.OAKLAND_COLISEUM,
    "PHI": Park.CITIZENS_BANK_PARK,
    "PIT": Park.PNC_PARK,
    "SD": Park.PETCO_PARK,
    "SF": Park.ORACLE_PARK,
    "SEA": Park.T_MOBILE_PARK,
    "STL": Park.BUSCH_STADIUM,
    "TB": Park.TROPICANA_FIELD,
    "TEX": Park.GLOBE_LIFE_FIELD,
    "TOR": Park.ROGERS_CENTRE,
    "WSH": Park.NATIONALS_PARK,
    "ATH": Park.SUTTER_HEALTH_PARK,
}
_AWAY_FROM_HOME: Final = {("TB", 2025): Park.STEINBRENNER_FIELD}
_OPENED: Final = {"ATL": 2017, "TEX": 2020}  # before, these teams played in parks that are not listed


def park_code() -> pl.Expr:
    """The number of the park of a row of the contract, from `home_team` and `game_year`; null where it is not known."""
    found = pl.col("home_team").replace_strict(
        {team: int(park) for team, park in _HOMES.items()}, default=None, return_dtype=pl.Int32
    )
    for (team, season), park in _AWAY_FROM_HOME.items():
        there = (pl.col("home_team") == team) & (pl.col("game_year") == season)
        found = pl.when(there).then(int(park)).otherwise(found)
    opened = pl.col("home_team").replace_strict(_OPENED, default=0, return_dtype=pl.Int32)
    return pl.when(pl.col("game_year") >= opened).then(found)
