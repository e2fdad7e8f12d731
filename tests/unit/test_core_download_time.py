"""Which of two downloads is older: known times decide, the time of a file only for older, columns by their years."""

from datetime import UTC, datetime, timedelta

import pytest

from ondeck_core.statcast.download_time import EARLIEST, DownloadTime, bound_by_columns, order_downloads

JUNE, JULY = datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC)


def known(at: datetime) -> DownloadTime:
    return DownloadTime(not_before=at, not_after=at)


def before(at: datetime) -> DownloadTime:
    return DownloadTime(not_before=EARLIEST, not_after=at)


@pytest.mark.parametrize(
    ("new", "stored", "order"),
    [
        (known(JULY), known(JUNE), "newer"),
        (known(JUNE), known(JUNE), "newer"),
        (known(JUNE), known(JULY), "older"),
        (known(JULY), before(JUNE), "newer"),
        (before(JUNE), known(JULY), "older"),
        (before(JUNE), before(JULY), "older"),
        (before(JULY), before(JUNE), "unknown"),  # it may have been copied in July
        (before(JUNE), before(JUNE + timedelta(hours=1)), "unknown"),  # unpacked together
        (before(JULY), known(JUNE), "unknown"),
    ],
)
def test_only_what_is_known_orders_two_downloads(new: DownloadTime, stored: DownloadTime, order: str) -> None:
    assert order_downloads(new, stored) == order


@pytest.mark.parametrize(
    ("columns", "years"),
    [
        (["start_speed", "px"], (2008, 2018)),
        (["release_speed", "pos2_person_id"], (2008, 2019)),
        (["release_speed"], (2008, 2025)),
        (["release_speed", "bat_speed"], (2024, 2025)),
        (["bat_speed", "attack_angle"], (2025, 2025)),
    ],
)
def test_the_columns_bound_the_time_of_a_file(columns: list[str], years: tuple[int, int]) -> None:
    bounded = bound_by_columns(before(JUNE), columns)
    assert (bounded.not_before.year, bounded.not_after.year) == years


def test_an_export_with_old_columns_is_older_than_one_with_new_columns_against_the_times_of_their_files() -> None:
    old = bound_by_columns(before(JULY), ["start_speed"])
    new = bound_by_columns(before(JUNE), ["bat_speed"])
    assert order_downloads(old, new) == "older"
    assert order_downloads(new, old) == "newer"
