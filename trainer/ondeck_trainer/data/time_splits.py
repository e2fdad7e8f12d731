"""Splits by date: fit, then calibrate on later days, then judge on days later still."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from ondeck_core.errors import OndeckError
from ondeck_core.manifest import Window

FULL_MONTH: Final = 15  # days with games
CALIBRATION: Final = 16  # days with games: enough rows for the last layer, the others are for the members
_A_DAY: Final = timedelta(days=1)


class TooFewDaysError(OndeckError):
    """The stored days do not suffice to fit, calibrate and judge on."""


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """Which days serve which end. The served fit moves on to the newest days."""

    fit: Window
    calibrate: Window
    judge: Window
    served_fit: Window
    served_calibrate: Window


def split(days: Sequence[date], judge_from: date | None = None) -> TimeSplit:
    """Split days with games: judge the month from `judge_from` (or the last full one), calibrate on 16 days before.

    Raises:
        TooFewDaysError: there is no full month, or too little before it.
    """
    ordered = sorted(set(days))
    begin = judge_from or _last_full_month(ordered)
    judged = [day for day in ordered if begin <= day < _month_after(begin)]
    earlier = [day for day in ordered if day < begin]
    if not judged or not earlier:
        raise TooFewDaysError(f"no days with games from {begin} on to judge, or none before; {_there_are(ordered)}")
    if len(earlier) <= CALIBRATION:
        raise TooFewDaysError(
            f"{len(earlier)} days before {begin} are too few to fit and to calibrate; {_there_are(ordered)}"
        )
    return TimeSplit(
        fit=_window(earlier[:-CALIBRATION]),
        calibrate=_window(earlier[-CALIBRATION:]),
        judge=_window(judged),
        served_fit=_window(ordered[:-CALIBRATION]),
        served_calibrate=_window(ordered[-CALIBRATION:]),
    )


def _last_full_month(days: Sequence[date]) -> date:
    months = Counter(day.replace(day=1) for day in days)
    full = [month for month, count in months.items() if count >= FULL_MONTH]
    if not full:
        raise TooFewDaysError(f"no month has games on {FULL_MONTH} days; {_there_are(days)}")
    return max(full)


def _month_after(day: date) -> date:
    return (day.replace(day=1) + 31 * _A_DAY).replace(day=1)


def _window(days: Sequence[date]) -> Window:
    return Window(first_day=days[0], last_day=days[-1])


def _there_are(days: Sequence[date]) -> str:
    return f"stored are {len(days)} days" + (f", {days[0]} to {days[-1]}" if days else "")
