"""The league of a Statcast row, from the codes of its two teams: major, minor or international, else unknown.

Savant exports its three searches in the same columns, and only the teams differ. A game belongs to the one league in
which both teams play. Codes of the Stats API: clubs of Triple-A since 2008, of the Florida State League and the Arizona
Fall League, and the nations of the World Baseball Classic.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from ondeck_core.statcast.legacy_codes import TEAMS

MAJOR, MINOR, INTERNATIONAL, UNKNOWN = "major", "minor", "international", "unknown"
LEAGUES: Final = (MAJOR, MINOR, INTERNATIONAL, UNKNOWN)
REGULAR_SEASON: Final = "R"  # the Classic has none


def _codes(text: str) -> frozenset[str]:
    return frozenset(text.split())


MAJOR_TEAMS: Final = _codes(
    "AL ATH ATL AZ BAL BOS CHC CIN CLE COL CWS DET HOU KC LAA LAD MIA MIL MIN NL NYM NYY OAK PHI PIT SD SEA SF STL TB "
    "TEX TOR WSH"
)
MINOR_TEAMS: Final = _codes(
    "ABQ BUF CLT COL COS CSP DUR ELP FRE GWN IND IOW JAX LHV LOU LV MEM NAS NO NOR NSH OKC OMA PAW RNO ROC RR SA SAC "
    "SL SLC STP SUG SWB SYR TAC TOL WOR BRD CLR DBT DUN FTM JUP LAK PMB SLU TAM GDD MES PEO SCO SRR SUR"
)
NATIONS: Final = _codes("AUS BRA CAN CHN COL CUB CZE DOM GBR ISR ITA JPN KOR MEX NED NIC PAN PUR RSA TPE USA VEN")


def _both_among(teams: frozenset[str]) -> pl.Expr:
    both = (pl.col(name).str.to_uppercase().is_in(sorted(teams)) for name in ("home_team", "away_team"))
    return pl.all_horizontal(both).fill_null(value=False)


_IS_MAJOR: Final = _both_among(MAJOR_TEAMS | set(TEAMS))
_IS_MINOR: Final = _both_among(MINOR_TEAMS)
_IS_INTERNATIONAL: Final = _both_among(NATIONS) & ~(
    (pl.col("game_type") == REGULAR_SEASON).fill_null(value=False) & (_IS_MAJOR | _IS_MINOR)
)
_IS_UNIQUE: Final = (_IS_MAJOR.cast(pl.Int8) + _IS_MINOR.cast(pl.Int8) + _IS_INTERNATIONAL.cast(pl.Int8)) == 1
LEAGUE: Final = (
    pl.when(~_IS_UNIQUE)
    .then(pl.lit(UNKNOWN))
    .when(_IS_MAJOR)
    .then(pl.lit(MAJOR))
    .when(_IS_MINOR)
    .then(pl.lit(MINOR))
    .otherwise(pl.lit(INTERNATIONAL))
    .alias("league")
)  # reads home_team, away_team and game_type


@dataclass(frozen=True, kw_only=True)
class GameSelection:
    """Games of one league and of some game types; no game type means all of them."""

    league: str = MAJOR
    game_types: tuple[str, ...] = (REGULAR_SEASON,)


MAJOR_REGULAR_SEASON: Final = GameSelection()
SELECTIONS: Final = {
    MAJOR: MAJOR_REGULAR_SEASON,
    MINOR: GameSelection(league=MINOR),
    INTERNATIONAL: GameSelection(league=INTERNATIONAL, game_types=()),
    UNKNOWN: GameSelection(league=UNKNOWN),
}  # what can be evaluated, by league
LEFT_OUT: Final = {
    MAJOR: "of the major leagues",
    MINOR: "of the minor leagues",
    INTERNATIONAL: "of international games",
    UNKNOWN: "of a league that the team codes do not show",
}  # why rows are not used, by their league
