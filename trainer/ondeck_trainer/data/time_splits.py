"""Time splits of a dataset: fit, calibrate on later days, evaluate on days after both."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from ondeck_core.errors import OndeckError
from ondeck_core.manifest import Window

FULL_MONTH_DAYS: Final = 15  # days with games
CALIBRATION_DAYS: Final = 16  # days with games: enough rows for weights and calibration, the rest fits the members
_DAY: Final = timedelta(days=1)


class TooFewDaysError(OndeckError):
    """The days with games are too few to fit, calibrate and evaluate."""


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """The windows of both fits of a training run: the evaluated fit, and the serving fit on the newest days."""

    fit: Window
    calibrate: Window
    evaluate: Window
    serving_fit: Window
    serving_calibrate: Window


def split(days: Sequence[date], eval_from: date | None = None) -> TimeSplit:
    """Split days with games: evaluate one month, by default the last full one, and calibrate on the 16 days before.

    Raises:
        TooFewDaysError: there is no full month, or too few days before it.
    """
    ordered = sorted(set(days))
    begin = eval_from or _last_full_month(ordered)
    evaluated = [day for day in ordered if begin <= day < _next_month(begin)]
    earlier = [day for day in ordered if day < begin]
    if not evaluated or not earlier:
        raise TooFewDaysError(f"no days with games from {begin} on to evaluate, or none before; {_describe(ordered)}")
    if len(earlier) <= CALIBRATION_DAYS:
        raise TooFewDaysError(
            f"{len(earlier)} days before {begin} are too few to fit and to calibrate; {_describe(ordered)}"
        )
    return TimeSplit(
        fit=_window(earlier[:-CALIBRATION_DAYS]),
        calibrate=_window(earlier[-CALIBRATION_DAYS:]),
        evaluate=_window(evaluated),
        serving_fit=_window(ordered[:-CALIBRATION_DAYS]),
        serving_calibrate=_window(ordered[-CALIBRATION_DAYS:]),
    )


def _last_full_month(days: Sequence[date]) -> date:
    months = Counter(day.replace(day=1) for day in days)
    full = [month for month, count in months.items() if count >= FULL_MONTH_DAYS]
    if not full:
        raise TooFewDaysError(f"no month has games on {FULL_MONTH_DAYS} days; {_describe(days)}")
    return max(full)


def _next_month(day: date) -> date:
    return (day.replace(day=1) + 31 * _DAY).replace(day=1)


def _window(days: Sequence[date]) -> Window:
    return Window(first_day=days[0], last_day=days[-1])


def _describe(days: Sequence[date]) -> str:
    return f"stored are {len(days)} days" + (f", {days[0]} to {days[-1]}" if days else "")
