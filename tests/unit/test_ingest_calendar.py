from datetime import UTC, date, datetime, timedelta

import pytest

from ondeck_ingest.calendar import season_from, wanted_days
from ondeck_ingest.worker import pause_after


@pytest.mark.parametrize(
    ("now", "lookback", "wanted"),
    [
        ("2024-05-03T12:59+00:00", 1, ["2024-05-01"]),  # 08:59 in New York: May 2 is not over yet
        ("2024-05-03T13:00+00:00", 1, ["2024-05-02"]),
        ("2024-05-03T20:00+00:00", 3, ["2024-04-30", "2024-05-01", "2024-05-02"]),
        ("2024-02-22T20:00+00:00", 4, ["2024-02-20", "2024-02-21"]),
        ("2024-11-12T20:00+00:00", 3, ["2024-11-09", "2024-11-10"]),
        ("2024-12-24T20:00+00:00", 7, []),
    ],
)
def test_wanted_are_the_last_days_that_are_over_and_in_season(now: str, lookback: int, wanted: list[str]) -> None:
    assert wanted_days(datetime.fromisoformat(now), lookback) == [date.fromisoformat(day) for day in wanted]


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        wanted_days(datetime(2024, 5, 3, tzinfo=UTC).replace(tzinfo=None), 1)


@pytest.mark.parametrize(
    ("day", "opens"),
    [("2024-05-03", "2024-05-03"), ("2024-01-05", "2024-02-20"), ("2024-12-05", "2025-02-20")],
)
def test_the_season_opens_where_the_calendar_says(day: str, opens: str) -> None:
    assert season_from(date.fromisoformat(day)) == date.fromisoformat(opens)


@pytest.mark.parametrize(("failures", "minutes"), [(1, 1), (2, 2), (5, 16), (9, 256), (10, 360), (1000, 360)])
def test_a_day_that_fails_is_left_alone_for_longer_each_time_up_to_six_hours(failures: int, minutes: int) -> None:
    assert pause_after(failures) == timedelta(minutes=minutes)
