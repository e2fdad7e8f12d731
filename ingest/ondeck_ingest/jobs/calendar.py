"""Which days there should be rows of. A game day is over at nine in the morning of the next, Eastern time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

EASTERN: Final = ZoneInfo("America/New_York")
OVER_AFTER: Final = timedelta(hours=9)
FIRST: Final = (2, 20)  # spring training
LAST: Final = (11, 10)  # the latest World Series
_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class DayStatus:
    """What is known of a day: whether it has been got, when it was last tried, and whether it was given up."""

    got: bool
    tried_at: datetime | None = None
    given_up: bool = False


def newest_day(now: datetime) -> date:
    """Tell the newest game day that is over.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a time without a zone has no day")
    return (now.astimezone(EASTERN) - OVER_AFTER).date() - _A_DAY


def due_days(now: datetime, lookback_days: int, refetch_days: int, known: Mapping[date, DayStatus]) -> list[date]:
    """List the days to ask for now, oldest first.

    A day of the look-back that has not been got since it was over is due, one that was given up once a day; a day of
    the correction window that has been got is due again once a day.
    """
    newest = newest_day(now)
    due = {day for day in wanted_days(now, lookback_days) if not _is_got_whole(day, known.get(day))}
    due |= {day for day in wanted_days(now, refetch_days) if _is_got(known.get(day))}
    return sorted(day for day in due if day not in known or _is_due(known[day], newest))


def _is_got(known: DayStatus | None) -> bool:
    return known is not None and known.got


def _is_got_whole(day: date, known: DayStatus | None) -> bool:
    if known is None or not known.got:
        return False
    return known.tried_at is None or day <= newest_day(known.tried_at)


def _is_due(known: DayStatus, newest: date) -> bool:
    if known.tried_at is None or not (known.got or known.given_up):
        return True
    return newest_day(known.tried_at) < newest


def wanted_days(now: datetime, lookback_days: int) -> list[date]:
    """List the last days that are over and in season, oldest first.

    Raises:
        ValueError: `now` has no time zone.
    """
    newest = newest_day(now)
    days = (newest - back * _A_DAY for back in range(lookback_days))
    return sorted(day for day in days if in_season(day))


def in_season(day: date) -> bool:
    """Tell whether games may be played on a day."""
    return FIRST <= (day.month, day.day) <= LAST


def season_from(day: date) -> date:
    """Tell the first day on or after `day` on which games may be played."""
    if in_season(day):
        return day
    opening = date(day.year, *FIRST)
    return opening if day <= opening else date(day.year + 1, *FIRST)
