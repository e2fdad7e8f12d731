"""Codes and wordings of former Statcast exports and of other sources, with the code that Baseball Savant uses today.

Sources: exports of 2016 (sentences), 2019 and 2020 (`hit_into_play_no_out`), 2023 and 2025; the call descriptions of
the Stats API, which equal the sentences of 2016, and its list of pitch codes (`Strike - Foul`); team codes of
Baseball-Reference, Retrosheet and FanGraphs.
A code that is neither here nor of today is stored as it came, counted, and of no task.
"""

from collections.abc import Mapping
from typing import Final

_BALLS: Final = ("ball", "blocked_ball", "intent_ball", "automatic_ball", "pitchout", "hit_by_pitch")
_STRIKES: Final = (
    *("called_strike", "automatic_strike", "swinging_strike", "swinging_strike_blocked", "swinging_pitchout"),
    *("foul", "foul_tip", "foul_bunt", "foul_pitchout", "missed_bunt", "bunt_foul_tip", "unknown_strike"),
)
_IN_PLAY: Final = ("hit_into_play", "pitchout_hit_into_play")
_OUTS_OF_BATTERS: Final = (
    *("field_out", "force_out", "fielders_choice", "fielders_choice_out", "field_error", "strikeout", "sac_fly"),
    *("sac_bunt", "double_play", "triple_play", "grounded_into_double_play", "grounded_into_triple_play"),
    *("strikeout_double_play", "strikeout_triple_play", "sac_fly_double_play", "sac_bunt_double_play", "other_out"),
    *("batter_interference", "fan_interference", "catcher_interf", "runner_interference", "field_interference"),
)
_OUTCOMES: Final = ("single", "double", "triple", "home_run", "walk", "intent_walk", "hit_by_pitch", "truncated_pa")
_ON_BASES: Final = (
    *("wild_pitch", "passed_ball", "balk", "forced_balk", "other_advance", "defensive_indiff", "error", "run"),
    *(
        "runner_double_play",
        "cs_double_play",
        "runner_placed",
        "game_advisory",
        "ejection",
        "injury",
        "os_ruling_pending",
    ),
    *(f"{play}_{base}" for play in ("stolen_base", "caught_stealing") for base in ("2b", "3b", "home")),
    *(f"pickoff_caught_stealing_{base}" for base in ("2b", "3b", "home")),
    *(f"{play}_{base}" for play in ("pickoff", "pickoff_error") for base in ("1b", "2b", "3b")),
)
CODES: Final[Mapping[str, frozenset[str]]] = {
    "description": frozenset({*_BALLS, *_STRIKES, *_IN_PLAY}),
    "events": frozenset({*_OUTS_OF_BATTERS, *_OUTCOMES, *_ON_BASES}),
}  # of today

DESCRIPTIONS: Final[Mapping[str, str]] = {
    **{
        f"{before}{result}": f"{after}hit_into_play"
        for before, after in (("", ""), ("pitchout_", "pitchout_"))
        for result in (
            *("in_play", "in_play_out_s", "in_play_no_out", "in_play_run_s", "in_play_no_outs", "in_play_no_out_s"),
            *("hit_into_play_no_out", "hit_into_play_score", "hit_into_play_out_s", "hit_into_play_no_out_s"),
            "hit_into_play_run_s",
        )
    },
    **dict.fromkeys(
        (
            *("ball_automatic", "ball_automatic_ibb", "automatic_ball_intentional"),
            *("automatic_ball_pitcher_pitch_timer_violation", "automatic_ball_catcher_pitch_timer_violation"),
            "automatic_ball_defensive_shift_violation",
        ),
        "automatic_ball",
    ),
    **dict.fromkeys(
        (
            *("strike_automatic", "automatic_strike_batter_pitch_timer_violation"),
            "automatic_strike_batter_timeout_violation",
        ),
        "automatic_strike",
    ),
    "ball_called": "ball",
    "ball_hit_by_pitch": "hit_by_pitch",
    **dict.fromkeys(("ball_in_dirt", "ball_ball_in_dirt"), "blocked_ball"),
    **dict.fromkeys(("intentional_ball", "ball_intentional"), "intent_ball"),
    "ball_pitchout": "pitchout",
    "strike_called": "called_strike",
    "strike_swinging": "swinging_strike",
    "strike_swinging_blocked": "swinging_strike_blocked",
    **dict.fromkeys(("strike_swinging_on_pitchout", "swinging_on_pitchout"), "swinging_pitchout"),
    **dict.fromkeys(("foul_runner_going", "strike_foul"), "foul"),
    "strike_foul_tip": "foul_tip",
    "strike_foul_bunt": "foul_bunt",
    **dict.fromkeys(("strike_foul_on_pitchout", "foul_on_pitchout"), "foul_pitchout"),
    **dict.fromkeys(("foul_tip_bunt", "strike_bunt_foul_tip"), "bunt_foul_tip"),
    "strike_missed_bunt": "missed_bunt",
    "strike_unknown": "unknown_strike",
}

EVENTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            *("groundout", "ground_out", "flyout", "fly_out", "lineout", "line_out", "pop_out", "popout"),
            *("bunt_groundout", "bunt_ground_out", "bunt_pop_out", "bunt_popout", "bunt_lineout", "bunt_line_out"),
        ),
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
    "sacrifice_fly": "sac_fly",
    "sacrifice_bunt": "sac_bunt",
    "catcher_interference": "catcher_interf",
    "intentional_walk": "intent_walk",
    "hit_by_ball": "hit_by_pitch",
    "homerun": "home_run",
    "runner_out": "other_out",
    "defensive_indifference": "defensive_indiff",
    **dict.fromkeys(("os_ruling_pending_prior", "os_ruling_pending_primary"), "os_ruling_pending"),
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
