"""Statcast rows as rows of a task: which belong to it, their instances and labels. Serving needs no rows."""

from collections.abc import Mapping
from datetime import date
from enum import IntEnum
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ondeck_core.categories import Park
from ondeck_core.instances import Field, InstanceType, Matrix
from ondeck_core.statcast.legacy_codes import CODES
from ondeck_core.tasks import Task

_PITCH_RESULT: Final = "type"  # B, S or X: ball, strike or in play
_BASES: Final = ("on_1b", "on_2b", "on_3b")
_ALIGNMENT_CODES: Final = {
    "if_fielding_alignment": {"Standard": 1, "Strategic": 2, "Infield shade": 3, "Infield shift": 4},
    "of_fielding_alignment": {"Standard": 1, "Strategic": 2, "4th outfielder": 3},
}
_PARK: Final = "park"
_NOT_IN_STATCAST: Final = frozenset({"spray_angle", _PARK})
_PARK_FROM: Final = ("home_team", "game_year", "game_date")


def required_values(task: Task) -> dict[str, tuple[str, ...] | None]:
    """Return the values that a row of the task has, by column; None: any value, but not null."""
    outcomes = tuple(task.outcome_by_value) if task.other_outcome is None else None
    result = {} if task.pitch_result is None else {_PITCH_RESULT: (task.pitch_result,)}
    return {task.outcome_column: outcomes, **result}


def population(task: Task) -> pl.Expr:
    """Return the filter that selects the rows of a task."""
    return pl.all_horizontal(
        pl.col(name).is_not_null() if values is None else pl.col(name).is_in(values)
        for name, values in required_values(task).items()
    )


def has_unknown_outcome(task: Task) -> pl.Expr:
    """Return the filter of rows whose outcome is a code of no known export: they may be of the task or not."""
    return ~pl.col(task.outcome_column).is_in(list(CODES[task.outcome_column])).fill_null(value=True)


def label(task: Task) -> pl.Expr:
    """Return the index of the observed outcome of a row that `population` selects."""
    index_by_value = {value: task.outcomes.index(outcome) for value, outcome in task.outcome_by_value.items()}
    other = None if task.other_outcome is None else task.outcomes.index(task.other_outcome)
    return pl.col(task.outcome_column).replace_strict(index_by_value, default=other, return_dtype=pl.Int64)


def label_columns(task: Task) -> set[str]:
    """Return the columns that `population` and `label` read."""
    return set(required_values(task))


def statcast_columns(instance: InstanceType) -> tuple[str, ...]:
    """Return the Statcast columns that `build_instances` reads for an instance type."""
    own = [name for name in instance.names if name not in _NOT_IN_STATCAST]
    return (*own, *(_PARK_FROM if _PARK in instance.names else ()))


def build_instances(rows: pl.DataFrame, instance: InstanceType) -> Matrix:
    """Convert Statcast rows to instances of shape (rows, fields); a field without a Statcast column is NaN.

    A base is 1 if Statcast names a runner, else 0. The park is that of the home team in the season.
    """
    with_park = rows.with_columns(park_code().alias(_PARK)) if set(_PARK_FROM) <= set(rows.columns) else rows
    columns: Mapping[str, NDArray[np.generic]] = {
        field.name: _column(with_park[field.name], field)
        for field in instance.fields
        if field.name in with_park.columns
    }
    return instance.matrix(columns, rows.height)


def _column(values: pl.Series, field: Field) -> NDArray[np.float32]:
    numbers = values.is_not_null() if field.name in _BASES else _numbers(values, field)
    return numbers.cast(pl.Float32).fill_null(float("nan")).to_numpy().astype(np.float32)


def _numbers(values: pl.Series, field: Field) -> pl.Series:
    if field.codes is None or values.dtype.is_numeric():
        return values
    return values.replace_strict(
        _ALIGNMENT_CODES.get(field.name, _codes(field.codes)), default=None, return_dtype=pl.Int32
    )


def _codes(codes: type[IntEnum]) -> dict[str, int]:
    return {code.name: int(code) for code in codes}


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
_TEMPORARY_HOMES: Final = {("TB", 2025): Park.STEINBRENNER_FIELD}
_FIRST_SEASON_IN_SACRAMENTO: Final = 2025  # of the Athletics, whose code some sources use for all seasons
_OPENED: Final = {
    "NYM": 2009,
    "NYY": 2009,
    "MIN": 2010,
    "MIA": 2012,
    "ATL": 2017,
    "TEX": 2020,
}  # first season in the park
_ELSEWHERE: Final = (("TOR", date(2020, 7, 1), date(2021, 7, 29)),)  # in Buffalo and Dunedin; no code


def park_code() -> pl.Expr:
    """Return the park code of a Statcast row from `home_team`, `game_year` and `game_date`; null if unknown.

    A park that a team left, or played in for some months only, has no code.

    Games at a neutral site have the code of the home team's park.
    """
    park = pl.col("home_team").replace_strict(
        {team: int(park) for team, park in _HOMES.items()}, default=None, return_dtype=pl.Int32
    )
    for (team, season), code in _TEMPORARY_HOMES.items():
        is_there = (pl.col("home_team") == team) & (pl.col("game_year") == season)
        park = pl.when(is_there).then(int(code)).otherwise(park)
    is_athletics = pl.col("home_team").is_in(["OAK", "ATH"])
    moved = pl.col("game_year") >= _FIRST_SEASON_IN_SACRAMENTO
    athletics = pl.when(moved).then(int(Park.SUTTER_HEALTH_PARK)).otherwise(int(Park.OAKLAND_COLISEUM))
    park = pl.when(is_athletics).then(athletics).otherwise(park)
    opened = pl.col("home_team").replace_strict(_OPENED, default=0, return_dtype=pl.Int32)
    is_away = pl.any_horizontal(
        (pl.col("home_team") == team) & pl.col("game_date").is_between(first, last) for team, first, last in _ELSEWHERE
    )
    return pl.when((pl.col("game_year") >= opened) & ~is_away).then(park)
