"""The calendar of the dashboard: the state of each day from the ledger and the stored games."""

from datetime import date, timedelta

import pytest

from ondeck_server.dashboard.ingest_calendar import (
    COMPLETE,
    MISSING,
    NO_GAMES,
    OUTSIDE,
    PARTIAL,
    UNKNOWN,
    LedgerDay,
    calendars,
    day_state,
    problem_days,
)

DAY = date(2024, 7, 1)
LATER = date(2026, 1, 1)


def entry(
    state: str = "done", *, day: date = DAY, rows: int = 4000, quarantined: int = 0, problem: str | None = None
) -> LedgerDay:
    return LedgerDay(day=day, state=state, rows=rows, quarantined=quarantined, problem=problem)


@pytest.mark.parametrize(
    ("known", "games", "expected"),
    [
        (entry(), 14, COMPLETE),
        (entry(quarantined=1), 14, PARTIAL),
        (entry(problem="13 % fewer rows"), 14, PARTIAL),
        (entry("empty", rows=0), 0, NO_GAMES),
        (entry("failed", rows=0), 0, MISSING),
        (entry("requested", rows=0), 0, MISSING),
        (entry("reverted", rows=0), 0, MISSING),
        (entry("failed", rows=0), 3, PARTIAL),
        (None, 14, COMPLETE),
        (None, 0, UNKNOWN),
    ],
)
def test_the_state_of_a_day(known: LedgerDay | None, games: int, expected: str) -> None:
    assert day_state(known, games) == expected


def test_a_season_of_files_has_unknown_days_between_its_first_and_last_game() -> None:
    games = {DAY: 14, DAY + timedelta(2): 15}
    (found,) = calendars([], games, LATER)
    begin = DAY.timetuple().tm_yday - 1
    assert len(found.days) == 366
    assert found.days[begin : begin + 3] == COMPLETE + UNKNOWN + COMPLETE
    assert set(found.days[:begin] + found.days[begin + 3 :]) == {OUTSIDE}
    assert (found.counts[COMPLETE], found.counts[UNKNOWN], found.counts[MISSING]) == (2, 1, 0)
    assert problem_days([found], []) == []


def test_a_followed_season_misses_each_day_without_an_entry_until_yesterday() -> None:
    today = DAY + timedelta(4)
    entries = [entry(), entry(day=DAY + timedelta(2), quarantined=2)]
    (found,) = calendars(entries, {DAY: 14}, today)
    begin = DAY.timetuple().tm_yday - 1
    assert found.days[begin : begin + 5] == COMPLETE + MISSING + PARTIAL + MISSING + OUTSIDE
    assert [(each.day.day, each.state, each.reason) for each in problem_days([found], entries)] == [
        (4, MISSING, "never requested"),
        (3, PARTIAL, "2 rows in quarantine"),
        (2, MISSING, "never requested"),
    ]


def test_a_followed_season_ends_with_its_last_possible_game() -> None:
    (found,) = calendars([entry(day=date(2024, 11, 1))], {}, date(2024, 12, 24))
    assert found.days.rstrip(OUTSIDE) == OUTSIDE * 305 + COMPLETE + MISSING * 9


def test_the_latest_season_comes_first() -> None:
    games = {date(2023, 4, 1): 1, date(2025, 4, 1): 1}
    assert [each.season for each in calendars([], games, LATER)] == [2025, 2023]


def test_a_reason_names_state_quarantine_and_problem() -> None:
    entries = [entry("failed", quarantined=1200, problem="HTTP 502")]
    (found,) = calendars(entries, {}, LATER)
    assert problem_days([found], entries)[0].reason == "failed; 1,200 rows in quarantine; HTTP 502"


def test_nothing_stored_has_no_calendar() -> None:
    assert calendars([], {}, LATER) == []
