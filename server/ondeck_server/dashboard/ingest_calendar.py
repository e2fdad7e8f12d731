"""The state of each day of a season, from the ingest ledger and the stored games. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

COMPLETE: Final = "c"
PARTIAL: Final = "p"
MISSING: Final = "m"
NO_GAMES: Final = "n"
UNKNOWN: Final = "u"  # nothing is stored, and nothing was requested: perhaps a day without games
OUTSIDE: Final = "-"  # before the first day that is known, or after the last
SEASON_END: Final = (11, 10)  # the latest World Series
_INGESTED: Final = frozenset({"done", "empty"})
_A_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class LedgerDay:
    """The entry of a day: its state, rows that are quarantined now, and what was wrong, if anything."""

    day: date
    state: str
    rows: int
    quarantined: int
    problem: str | None = None


@dataclass(frozen=True, kw_only=True)
class SeasonCalendar:
    """A year: one letter for each day from 1 January on, and the counts of the letters within the season."""

    season: int
    days: str
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class ProblemDay:
    """A day that is partial or missing, and why."""

    day: date
    state: str
    reason: str


def calendars(entries: Sequence[LedgerDay], games: Mapping[date, int], today: date) -> list[SeasonCalendar]:
    """Return a calendar for each year with a ledger entry or a stored game, the latest first."""
    ledger = {entry.day: entry for entry in entries}
    years = sorted({day.year for day in (*ledger, *games)}, reverse=True)
    return [_calendar(year, ledger, games, today) for year in years]


def problem_days(found: Sequence[SeasonCalendar], entries: Sequence[LedgerDay]) -> list[ProblemDay]:
    """Return the days that are partial or missing in the calendars, the latest first, each with its reason."""
    ledger = {entry.day: entry for entry in entries}
    days = [
        (date(calendar.season, 1, 1) + number * _A_DAY, state)
        for calendar in found
        for number, state in enumerate(calendar.days)
        if state in {PARTIAL, MISSING}
    ]
    return [ProblemDay(day=day, state=state, reason=_reason(ledger.get(day))) for day, state in sorted(days)[::-1]]


def day_state(entry: LedgerDay | None, games: int) -> str:
    """Return the letter of a day with these stored games."""
    if entry is None:
        return COMPLETE if games else UNKNOWN
    if entry.state not in _INGESTED and not games:
        return MISSING
    if entry.state not in _INGESTED or entry.quarantined or entry.problem:
        return PARTIAL
    return COMPLETE if games or entry.rows else NO_GAMES


def _calendar(year: int, ledger: Mapping[date, LedgerDay], games: Mapping[date, int], today: date) -> SeasonCalendar:
    first, last = _season(year, ledger, games, today)
    days = [date(year, 1, 1) + number * _A_DAY for number in range((date(year + 1, 1, 1) - date(year, 1, 1)).days)]
    states = [
        _state_in_season(day, ledger, games, is_followed=_is_followed(year, ledger))
        if first <= day <= last
        else OUTSIDE
        for day in days
    ]
    counts = {state: states.count(state) for state in (COMPLETE, PARTIAL, MISSING, NO_GAMES, UNKNOWN)}
    return SeasonCalendar(season=year, days="".join(states), counts=counts)


def _state_in_season(
    day: date, ledger: Mapping[date, LedgerDay], games: Mapping[date, int], *, is_followed: bool
) -> str:
    """Return the letter of a day; where a source is followed day by day, a day without an entry is missing."""
    state = day_state(ledger.get(day), games.get(day, 0))
    return MISSING if state == UNKNOWN and is_followed else state


def _is_followed(year: int, ledger: Mapping[date, LedgerDay]) -> bool:
    return any(day.year == year for day in ledger)


def _season(year: int, ledger: Mapping[date, LedgerDay], games: Mapping[date, int], today: date) -> tuple[date, date]:
    """Return the first and last day of a season; a present one that is followed lasts until yesterday."""
    known = [day for day in (*ledger, *games) if day.year == year]
    last = max(known)
    if year == today.year and _is_followed(year, ledger):
        last = max(last, min(today - _A_DAY, date(year, *SEASON_END)))
    return min(known), last


def _reason(entry: LedgerDay | None) -> str:
    if entry is None:
        return "never requested"
    quarantined = f"{entry.quarantined:,} rows in quarantine" if entry.quarantined else ""
    state = "" if entry.state in _INGESTED else entry.state
    return "; ".join(each for each in (state, quarantined, entry.problem) if each)
