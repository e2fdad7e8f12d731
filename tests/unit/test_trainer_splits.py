"""Splits by time: fit, calibrate, evaluate."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import chain

import pytest

from ondeck_trainer.pipeline import TooFewDaysError, split


def days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range((last - first).days + 1))


SEASON = list(chain(days(date(2022, 4, 7), date(2022, 9, 30)), days(date(2022, 10, 1), date(2022, 10, 5))))


def test_every_evaluation_day_is_later_than_every_fit_day() -> None:
    found = split(SEASON)
    assert (found.evaluate.first_day, found.evaluate.last_day) == (date(2022, 9, 1), date(2022, 9, 30))
    assert found.fit.last_day < found.calibrate.first_day <= found.calibrate.last_day < found.evaluate.first_day


def test_the_serving_fit_uses_every_day_and_calibrates_on_the_newest() -> None:
    found = split(SEASON)
    assert (found.serving_fit.first_day, found.serving_calibrate.last_day) == (SEASON[0], SEASON[-1])
    assert found.serving_fit.last_day < found.serving_calibrate.first_day


def test_a_month_can_be_named() -> None:
    found = split(SEASON, date(2022, 7, 1))
    assert (found.evaluate.first_day, found.evaluate.last_day) == (date(2022, 7, 1), date(2022, 7, 31))
    assert (found.calibrate.first_day, found.calibrate.last_day) == (date(2022, 6, 15), date(2022, 6, 30))


def test_the_order_of_days_does_not_matter() -> None:
    assert split(SEASON[::-1] * 2) == split(SEASON)


@pytest.mark.parametrize(
    ("stored", "eval_from", "message"),
    [
        ([], None, "stored are 0 days"),
        (list(days(date(2022, 4, 7), date(2022, 4, 12))), None, "stored are 6 days, 2022-04-07 to 2022-04-12"),
        (list(days(date(2022, 4, 1), date(2022, 4, 30))), None, "none before"),
        (list(days(date(2022, 4, 20), date(2022, 5, 31))), None, "11 days before 2022-05-01 are too few to fit"),
        (SEASON, date(2023, 5, 1), "no days with games from 2023-05-01"),
    ],
)
def test_too_few_days_are_refused_with_the_stored_ones(
    stored: list[date], eval_from: date | None, message: str
) -> None:
    with pytest.raises(TooFewDaysError, match=message):
        split(stored, eval_from)
