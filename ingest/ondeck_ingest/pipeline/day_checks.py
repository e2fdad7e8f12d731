"""Quality checks of a loaded day. They only write warnings to the ledger; no row is rejected or changed.

Normal, and no warning: suspended games finished later, gaps in pitch_number, a player who plays for both teams.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_core.statcast.decode import ROW_CAPS
from ondeck_store.ingest.ledger import GameEnd, RecordedEntry, days_of, game_ends, lock_checks, update_entries

NEIGHBOR_SPAN: Final = timedelta(days=7)
_A_DAY: Final = timedelta(days=1)
_CHECKED_TYPES: Final = ("R", "F", "D", "L", "W")  # exhibitions may end at any point
_INNINGS: Final = 9
_SHORT_SEASONS: Final = (2020, 2021)  # double-headers of seven innings
_MIN_NEIGHBORS: Final = 4
_MIN_SHARE: Final = 5  # a day needs a fifth of the median of its neighbors
_LAST_OUT: Final = 2  # outs before the last pitch


async def update_checks(engine: AsyncEngine, source: str, day: date, fetched_at: datetime | None) -> None:
    """Record when a day was fetched, its warnings, and the row count warnings of its neighbors; idempotent."""
    async with engine.begin() as connection:
        await lock_checks(connection)
        entries = await days_of(connection, source, day - 2 * NEIGHBOR_SPAN, day + 2 * NEIGHBOR_SPAN)
        changes = changed_row_counts(day, entries)
        day_changes = {
            **changes.get(str(day), {}),
            "game_warning": check_games(day, entries, await game_ends(connection, day)),
            "fetched_at": fetched_at,
        }
        await update_entries(connection, source, {**changes, str(day): day_changes})


def check_games(day: date, entries: Sequence[RecordedEntry], ends: Sequence[GameEnd]) -> str | None:
    """Return a warning about the stored games of a day, or None."""
    loaded = sum(
        entry.inserted + entry.changed + entry.unchanged + entry.outdated for entry in entries if entry.day == day
    )
    return "; ".join(each for each in (check_game_ends(day, ends), check_total(day, loaded, ends)) if each) or None


def check_game_ends(day: date, ends: Sequence[GameEnd]) -> str | None:
    """Return a warning that lists the games of a day that stop early, or None."""
    innings = 7 if day.year in _SHORT_SEASONS else _INNINGS
    stops = [_describe_stop(end) for end in ends if end.game_type in _CHECKED_TYPES and not is_complete(end, innings)]
    return "; ".join(stops) or None


def check_total(day: date, loaded: int, ends: Sequence[GameEnd]) -> str | None:
    """Return a warning if the stored pitches of a day are not as many as its last load had valid rows, or None.

    More: Savant removed, moved or renumbered games or pitches since. Fewer: the load has rows of other days.
    """
    surplus = sum(end.pitches for end in ends) - loaded
    if surplus < 0:
        return f"{-surplus} rows of the answer are not of {day}"
    return f"{surplus} stored pitches are missing in the last answer" if surplus else None


def changed_row_counts(day: date, entries: Sequence[RecordedEntry]) -> dict[str, dict[str, object]]:
    """Return the new row count warning of each day around `day` whose warning changes, by unit."""
    rows = rows_by_day(entries)
    return {
        entry.unit: {"row_count_warning": warning}
        for entry in entries
        if entry.day in rows
        and abs(entry.day - day) <= NEIGHBOR_SPAN
        and (warning := check_row_count(entry.day, rows)) != entry.row_count_warning
    }


def check_row_count(day: date, rows_by_day: Mapping[date, int]) -> str | None:
    """Return a warning if a day has too many rows, or too few compared with the week before and after, or None.

    Too few is less than a fifth of the median of the neighbors. A single day without rows is too few; two in a row are
    a break in the season.
    """
    rows = rows_by_day[day]
    if rows >= ROW_CAPS[0]:
        return f"{rows} rows, more than Savant returns at once"
    neighbors = [
        count for other, count in rows_by_day.items() if other != day and count and abs(other - day) <= NEIGHBOR_SPAN
    ]
    usual = median(neighbors) if len(neighbors) >= _MIN_NEIGHBORS else 0
    if rows * _MIN_SHARE >= usual or (not rows and _is_in_break(day, rows_by_day)):
        return None
    return f"{rows} rows, but the days around have {usual:.0f}"


def is_complete(end: GameEnd, innings: int = _INNINGS) -> bool:
    """Return whether a game that stops here may have ended by the rules, after at least so many innings."""
    if end.inning < innings:
        return False
    if end.home is None or end.away is None:
        return True
    if end.home > end.away:
        return end.half == "Bot" or _is_side_retired(end)
    return end.away > end.home and end.half == "Bot" and _is_side_retired(end)


def rows_by_day(entries: Sequence[RecordedEntry]) -> dict[date, int]:
    """Return the number of rows of each ingested day."""
    return {entry.day: entry.rows_in for entry in entries if entry.day and entry.state in {"done", "empty"}}


def _is_side_retired(end: GameEnd) -> bool:
    event = end.event or ""
    return end.outs == _LAST_OUT or (end.outs == 1 and "double_play" in event) or event == "triple_play"


def _describe_stop(end: GameEnd) -> str:
    where = f"{'top' if end.half == 'Top' else 'bottom'} of inning {end.inning}"
    return f"game {end.game_pk} stops in the {where} at {end.away}:{end.home}, after {end.pitches} pitches"


def _is_in_break(day: date, rows: Mapping[date, int]) -> bool:
    return any(rows.get(other) == 0 for other in (day - _A_DAY, day + _A_DAY))
