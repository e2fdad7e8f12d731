"""Which days there should be rows of. A game day is over at nine in the morning of the next, Eastern time."""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

EASTERN: Final = ZoneInfo("America/New_York")
OVER_AFTER: Final = timedelta(hours=9)
FIRST: Final = (2, 20)  # spring training
LAST: Final = (11, 10)  # the latest World Series
_A_DAY: Final = timedelta(days=1)


def wanted_days(now: datetime, lookback_days: int) -> list[date]:
    """List the last days that are over and in season, oldest first.

    Raises:
        ValueError: `now` has no time zone.
    """
    if now.tzinfo is None:
        raise ValueError("a time without a zone has no day")
    newest = (now.astimezone(EASTERN) - OVER_AFTER).date() - _A_DAY
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
