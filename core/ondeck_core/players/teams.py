"""Team names and abbreviations of Savant, FanGraphs, Baseball-Reference, Retrosheet and ESPN."""

import re
from functools import lru_cache
from typing import Final

_TEAMS: Final = {
    "AZ": "ari arizona diamondbacks dbacks",
    "ATL": "atl atlanta braves",
    "BAL": "bal baltimore orioles",
    "BOS": "bos boston redsox",
    "CHC": "chc chn cubs",
    "CWS": "cws chw cha whitesox",
    "CIN": "cin cincinnati reds",
    "CLE": "cle cleveland guardians indians",
    "COL": "col colorado rockies",
    "DET": "det detroit tigers",
    "HOU": "hou houston astros",
    "KC": "kc kcr kca kansascity royals",
    "LAA": "laa ana angels laangels losangelesangelsofanaheim anaheim",
    "LAD": "lad lan la dodgers ladodgers",
    "MIA": "mia fla flo miami florida marlins",
    "MIL": "mil milwaukee brewers",
    "MIN": "min minnesota twins",
    "NYM": "nym nyn mets nymets",
    "NYY": "nyy nya yankees nyyankees",
    "ATH": "ath oak oakland athletics as sacramento",
    "PHI": "phi philadelphia phillies",
    "PIT": "pit pittsburgh pirates",
    "SD": "sd sdp sdn sandiego padres",
    "SF": "sf sfg sfn sanfrancisco giants",
    "SEA": "sea seattle mariners",
    "STL": "stl sln stlouis cardinals",
    "TB": "tb tbr tba tampabay rays devilrays",
    "TEX": "tex texas rangers",
    "TOR": "tor toronto bluejays",
    "WSH": "wsh wsn was washington nationals",
}
_CITIES: Final = ("chicago", "newyork", "losangeles")  # cities with two teams
_MAX_ABBREVIATION: Final = 3
_NOT_LETTERS: Final = re.compile(r"[^a-z]+")


def _by_word() -> dict[str, str]:
    found = {code.lower(): code for code in _TEAMS} | {
        word: code for code, words in _TEAMS.items() for word in words.split()
    }
    whole = {f"{place}{nick}": code for nick, code in found.items() for place in (*_places(code), *_CITIES)}
    return whole | found


def _places(code: str) -> list[str]:
    return [word for word in _TEAMS[code].split() if len(word) > _MAX_ABBREVIATION]


_BY_WORD: Final = _by_word()
MAJOR_LEAGUE_TEAMS: Final = frozenset(_TEAMS)
ABBREVIATIONS: Final = frozenset(word for word in _BY_WORD if len(word) <= _MAX_ABBREVIATION)


@lru_cache(maxsize=4096)
def franchise(team: str) -> str:
    """Return Savant's code of a team for any of its names; an unknown name is returned unchanged.

    >>> franchise("Oakland Athletics") == franchise("ATH") == franchise("OAK")
    True
    """
    return _BY_WORD.get(_NOT_LETTERS.sub("", team.lower()), team)
