"""What follows when a day has been taken: look at it, and at the days around it, and note what is odd."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_ingest.pipeline.quality_checks import AROUND, odd_games, odd_rows, odd_sum, rows_by_day
from ondeck_store.ingest.ledger import GameEnd, RecordedEntry, amend, days_of, game_ends, settle

_TWICE_AROUND: Final = 2 * AROUND


async def follow_up(engine: AsyncEngine, source: str, day: date, fetched_at: datetime | None) -> None:
    """Note when a day came and what is odd about it and its neighbours; doing so again changes nothing."""
    async with engine.begin() as connection:
        await settle(connection)
        entries = await days_of(connection, source, day - _TWICE_AROUND, day + _TWICE_AROUND)
        changes = odd_days(day, entries)
        about_it = {
            **changes.get(str(day), {}),
            "odd_games": odd_pitches(day, entries, await game_ends(connection, day)),
            "fetched_at": fetched_at,
        }
        await amend(connection, source, {**changes, str(day): about_it})


def odd_pitches(day: date, entries: Sequence[RecordedEntry], ends: Sequence[GameEnd]) -> str | None:
    """Tell what is odd about the stored pitches of a day, beside what came of it."""
    came = sum(entry.stored + entry.unchanged for entry in entries if entry.day == day)
    return "; ".join(odd for odd in (odd_games(day, ends), odd_sum(day, came, ends)) if odd) or None


def odd_days(day: date, entries: Sequence[RecordedEntry]) -> dict[str, dict[str, object]]:
    """Tell for which days around a day it is another thing now that is odd about their rows."""
    rows = rows_by_day(entries)
    return {
        entry.unit: {"odd_rows": odd}
        for entry in entries
        if entry.day in rows and abs(entry.day - day) <= AROUND and (odd := odd_rows(entry.day, rows)) != entry.odd_rows
    }
