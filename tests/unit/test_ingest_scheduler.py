"""Due days of the scheduler: season, backoff and corrections."""

from datetime import UTC, date, datetime, timedelta

import pytest

from ondeck_ingest.jobs.handler import pause_after
from ondeck_ingest.jobs.scheduler import DayStatus, due_days, next_season_day, season_days


@pytest.mark.parametrize(
    ("now", "lookback", "expected"),
    [
        ("2024-05-03T12:59+00:00", 1, ["2024-05-01"]),  # 08:59 in New York: May 2 is not over yet
        ("2024-05-03T13:00+00:00", 1, ["2024-05-02"]),
        ("2024-05-03T20:00+00:00", 3, ["2024-04-30", "2024-05-01", "2024-05-02"]),
        ("2024-02-22T20:00+00:00", 4, ["2024-02-20", "2024-02-21"]),
        ("2024-11-12T20:00+00:00", 3, ["2024-11-09", "2024-11-10"]),
        ("2024-12-24T20:00+00:00", 7, []),
    ],
)
def test_the_last_finished_days_in_season_are_due(now: str, lookback: int, expected: list[str]) -> None:
    assert season_days(datetime.fromisoformat(now), lookback) == [date.fromisoformat(day) for day in expected]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        season_days(datetime(2024, 5, 3, tzinfo=UTC).replace(tzinfo=None), 1)


@pytest.mark.parametrize(
    ("day", "opens"),
    [("2024-05-03", "2024-05-03"), ("2024-01-05", "2024-02-20"), ("2024-12-05", "2025-02-20")],
)
def test_the_season_opens_on_its_calendar_day(day: str, opens: str) -> None:
    assert next_season_day(date.fromisoformat(day)) == date.fromisoformat(opens)


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 360), (1000, 360)])
def test_a_failed_day_backs_off_up_to_six_hours(failures: int, minutes: int) -> None:
    assert pause_after(failures) == timedelta(minutes=minutes)


NOW = datetime(2024, 6, 10, 20, tzinfo=UTC)
TODAY, YESTERDAY = NOW - timedelta(hours=1), NOW - timedelta(days=1)
BEFORE_NINE = datetime(2024, 6, 10, 12, 59, tzinfo=UTC)  # 08:59 in New York: the previous game day is not over


@pytest.mark.parametrize(
    ("back", "known", "due"),
    [
        (1, None, True),
        (3, None, True),
        (4, None, False),  # outside the look-back
        (1, DayStatus(is_ingested=False), True),  # requested, never attempted
        (1, DayStatus(is_ingested=False, attempted_at=TODAY), True),  # failed; the queue schedules the retry
        (1, DayStatus(is_ingested=False, attempted_at=TODAY, is_dead=True), False),
        (1, DayStatus(is_ingested=False, attempted_at=YESTERDAY, is_dead=True), True),
        (1, DayStatus(is_ingested=True, attempted_at=TODAY), False),
        (1, DayStatus(is_ingested=True, attempted_at=BEFORE_NINE), True),
        (1, DayStatus(is_ingested=True, attempted_at=YESTERDAY), True),
        (14, DayStatus(is_ingested=True, attempted_at=YESTERDAY), True),
        (15, DayStatus(is_ingested=True, attempted_at=YESTERDAY), False),  # outside the correction window
        (14, DayStatus(is_ingested=False, attempted_at=YESTERDAY, is_dead=True), False),
    ],
)
def test_a_day_is_due_until_ingested_and_daily_while_it_may_be_corrected(
    back: int,
    known: DayStatus | None,
    due: bool,  # noqa: FBT001  a table
) -> None:
    day = date(2024, 6, 10) - timedelta(days=back)
    others = {
        date(2024, 6, 10) - timedelta(days=number): DayStatus(is_ingested=True, attempted_at=TODAY)
        for number in range(30)
    }
    given = {each: what for each, what in others.items() if each != day} | ({day: known} if known else {})
    assert due_days(NOW, lookback_days=3, refetch_days=14, known=given) == ([day] if due else [])


def test_a_day_ingested_before_its_end_is_due_again() -> None:
    early, late = (datetime(2024, 6, 9, 16, tzinfo=UTC), datetime(2024, 6, 10, 14, tzinfo=UTC))
    for tried_at, due in ((early, [date(2024, 6, 9)]), (late, [])):
        known = {date(2024, 6, 9): DayStatus(is_ingested=True, attempted_at=tried_at)}
        assert due_days(NOW, lookback_days=1, refetch_days=0, known=known) == due
