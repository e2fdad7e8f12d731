"""Codes and wordings of former Statcast exports and of other sources, with the code that Baseball Savant uses today.

Sources: exports of 2016 (sentences), 2019 and 2020 (`hit_into_play_no_out`), 2023 and 2025; the Stats API's call
descriptions, which equal the sentences of 2016; team codes of Baseball-Reference, Retrosheet and FanGraphs.
A code that is not here is stored as it came.
"""

from collections.abc import Mapping
from typing import Final

_IN_PLAY: Final = ("in_play", "in_play_out_s", "in_play_no_out", "in_play_run_s", "in_play_no_outs")
DESCRIPTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys((*_IN_PLAY, "hit_into_play_no_out", "hit_into_play_score"), "hit_into_play"),
    **dict.fromkeys(
        ("pitchout_hit_into_play_no_out", "pitchout_hit_into_play_score", "pitchout_in_play_no_out"),
        "pitchout_hit_into_play",
    ),
    "ball_in_dirt": "blocked_ball",
    "foul_runner_going": "foul",
    "foul_tip_bunt": "bunt_foul_tip",
    "strike_swinging": "swinging_strike",
    "strike_called": "called_strike",
    "intentional_ball": "intent_ball",
}

EVENTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("groundout", "flyout", "lineout", "pop_out", "popout", "bunt_groundout", "bunt_pop_out", "bunt_lineout"),
        "field_out",
    ),
    "forceout": "force_out",
    "grounded_into_dp": "grounded_into_double_play",
    "fielders_choice_outs": "fielders_choice_out",
    "strikeout_dp": "strikeout_double_play",
    "strikeout_tp": "strikeout_triple_play",
    "sac_fly_dp": "sac_fly_double_play",
    "sacrifice_bunt_dp": "sac_bunt_double_play",
    "sac_bunt_dp": "sac_bunt_double_play",
    "catcher_interference": "catcher_interf",
    "intentional_walk": "intent_walk",
    "hit_by_ball": "hit_by_pitch",
    "homerun": "home_run",
}

PITCH_TYPES: Final[Mapping[str, str]] = {"FT": "SI"}  # Savant counts two-seam fastballs as sinkers since 2020

TEAMS: Final[Mapping[str, str]] = {
    "ARI": "AZ",
    **dict.fromkeys(("CHW", "CHA"), "CWS"),
    "CHN": "CHC",
    **dict.fromkeys(("KCR", "KCA"), "KC"),
    "ANA": "LAA",
    "LAN": "LAD",
    **dict.fromkeys(("FLA", "FLO"), "MIA"),
    "NYN": "NYM",
    "NYA": "NYY",
    **dict.fromkeys(("SDP", "SDN"), "SD"),
    **dict.fromkeys(("SFG", "SFN"), "SF"),
    "SLN": "STL",
    **dict.fromkeys(("TBR", "TBA", "TBD"), "TB"),
    **dict.fromkeys(("WSN", "WAS"), "WSH"),
}
