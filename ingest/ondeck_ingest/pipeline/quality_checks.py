"""What is odd about a day. Suspicion is told and the day pulled again; nothing is refused or changed for it.

Games that were suspended and finished later, gaps in pitch_number and a man who plays for both teams are normal.
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from statistics import median
from typing import Final

from ondeck_core.statcast.decode import CAPS
from ondeck_store.ingest.ledger import GameEnd, RecordedEntry

AROUND: Final = timedelta(days=7)
_A_DAY: Final = timedelta(days=1)
_JUDGED_TYPES: Final = ("R", "F", "D", "L", "W")  # exhibitions end as it pleases
_INNINGS: Final = 9
_SHORT_SEASONS: Final = (2020, 2021)  # double-headers of seven innings
_FEW_NEIGHBOURS: Final = 4
_FAR: Final = 5
_LAST_OUT: Final = 2  # two were out before the last pitch


def odd_games(day: date, ends: Sequence[GameEnd]) -> str | None:
    """Tell which games of a day stop early, or None."""
    innings = 7 if day.year in _SHORT_SEASONS else _INNINGS
    stops = [_stop(end) for end in ends if end.game_type in _JUDGED_TYPES and not is_over(end, innings)]
    return "; ".join(stops) or None


def odd_sum(day: date, came: int, ends: Sequence[GameEnd]) -> str | None:
    """Tell whether there is more or less stored of a day than came of it and fits, or None.

    More: games or pitches were taken back, moved or numbered anew since. Less: what came is of other days.
    """
    left = sum(end.pitches for end in ends) - came
    if left < 0:
        return f"{-left} rows that came are not of {day}"
    return f"{left} stored pitches did not come again" if left else None


def odd_rows(day: date, rows_by_day: Mapping[date, int]) -> str | None:
    """Tell whether the rows of a day are odd beside those of the week before and after, or None.

    A day is far from its neighbours with less than a fifth of their median; a lone day without rows is, too, but not
    two in a row: that is a break.
    """
    rows = rows_by_day[day]
    if rows >= CAPS[0]:
        return f"{rows} rows, more than Savant gives at once"
    around = [count for other, count in rows_by_day.items() if other != day and count and abs(other - day) <= AROUND]
    usual = median(around) if len(around) >= _FEW_NEIGHBOURS else 0
    if rows * _FAR >= usual or (not rows and _in_a_break(day, rows_by_day)):
        return None
    return f"{rows} rows, where the days around have {usual:.0f}"


def is_over(end: GameEnd, innings: int = _INNINGS) -> bool:
    """Tell whether a game that stops so may have ended by the rules, after so many innings or more."""
    if end.inning < innings:
        return False
    if end.home is None or end.away is None:
        return True
    if end.home > end.away:
        return end.half == "Bot" or _side_is_out(end)
    return end.away > end.home and end.half == "Bot" and _side_is_out(end)


def rows_by_day(entries: Sequence[RecordedEntry]) -> dict[date, int]:
    """Count the rows of the days that have been got."""
    return {entry.day: entry.rows_in for entry in entries if entry.day and entry.state in {"done", "empty"}}


def _side_is_out(end: GameEnd) -> bool:
    event = end.event or ""
    return end.outs == _LAST_OUT or (end.outs == 1 and "double_play" in event) or event == "triple_play"


def _stop(end: GameEnd) -> str:
    where = f"{'top' if end.half == 'Top' else 'bottom'} of inning {end.inning}"
    return f"game {end.game_pk} stops in the {where} at {end.away}:{end.home}, after {end.pitches} pitches"


def _in_a_break(day: date, rows: Mapping[date, int]) -> bool:
    return any(rows.get(other) == 0 for other in (day - _A_DAY, day + _A_DAY))
