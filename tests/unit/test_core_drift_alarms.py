"""Alarm levels of drift: quiet days are silent, drift is found, and tail probabilities are those of SciPy."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from ondeck_core.drift_alarms import (
    EVIDENCE_LEVEL,
    PAGING_TESTS,
    SEASON_DAYS,
    AlarmTest,
    accumulate_evidence,
    daily_rate,
    p_value_above,
    share_drift,
    share_mean_drift,
)
from ondeck_core.tail_probabilities import f_quantile, f_tail, t_tail

FIELDS = 30
TESTED = 8  # of them, on each day
GAMES = np.repeat(np.arange(15), 150)
TEN = np.full(10, 0.1)


@pytest.mark.parametrize(("t", "freedom"), [(0.0, 3), (0.3, 4), (-2.2, 14), (8.0, 14), (5.0, 4000)])
def test_the_tail_of_t_is_that_of_scipy(t: float, freedom: float) -> None:
    assert t_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=1e-10)


@pytest.mark.parametrize(("f", "between", "within"), [(1.2, 3.3, 40), (9, 1, 14), (2.2, 30, 400), (1.01, 500, 500_000)])
def test_the_tail_of_f_is_that_of_scipy(f: float, between: float, within: float) -> None:
    assert f_tail(f, between, within) == pytest.approx(stats.f.sf(f, between, within), rel=1e-8)


@pytest.mark.parametrize(("tail", "between", "within"), [(1e-5, 9, 36_000), (1e-6, 1, 14), (0.05, 30, 3000)])
def test_the_quantile_of_f_is_that_of_scipy(tail: float, between: float, within: float) -> None:
    assert f_quantile(tail, between, within) == pytest.approx(stats.f.isf(tail, between, within), rel=1e-8)


def test_the_level_of_independent_rows_is_the_quantile_of_chi_square() -> None:
    rows, reference_rows, rate = 20_000, 300_000, 1e-4
    bins = np.random.default_rng(1).integers(0, 10, rows)
    found = share_drift(bins, np.arange(rows), TEN, reference_rows, rate)
    assert found.level == pytest.approx((1 / rows + 1 / reference_rows) * stats.chi2.isf(rate, 9), rel=0.01)


def draw_day(draw: np.random.Generator, likeness: float, shares: NDArray[np.float64] = TEN) -> NDArray[np.int64]:
    """Draw bins of a day; a share `likeness` of the rows of each game is in one bin."""
    own = draw.choice(10, 15, p=shares)[GAMES]
    return np.where(draw.random(len(GAMES)) < likeness, own, draw.choice(10, len(GAMES), p=shares))


@pytest.mark.parametrize("likeness", [0.0, 0.4])
def test_inputs_of_quiet_days_are_silent_however_alike_the_rows_of_a_game_are(likeness: float) -> None:
    draw, rate = np.random.default_rng(2), daily_rate(FIELDS)
    alarms = sum(
        any(share_drift(draw_day(draw, likeness), GAMES, TEN, 300_000, rate).is_alarm for _ in range(TESTED))
        for _ in range(200)
    )
    assert alarms <= 2


def test_levels_without_regard_to_games_would_fire_on_most_quiet_days() -> None:
    draw, rate = np.random.default_rng(2), daily_rate(FIELDS)
    independent = np.arange(len(GAMES))
    alarms = sum(share_drift(draw_day(draw, 0.2), independent, TEN, 300_000, rate).is_alarm for _ in range(50))
    assert alarms > 40


def test_shifted_inputs_are_an_alarm_on_the_first_day() -> None:
    shifted = np.array([0.02, 0.04, 0.06, 0.08, 0.1, 0.1, 0.12, 0.14, 0.16, 0.18])
    bins = draw_day(np.random.default_rng(3), 0.02, shifted)
    assert share_drift(bins, GAMES, TEN, 300_000, daily_rate(FIELDS)).is_alarm


def test_a_field_that_callers_stop_sending_is_an_alarm() -> None:
    reference = np.array([*TEN, 0.0])
    bins = np.where(np.random.default_rng(4).random(len(GAMES)) < 0.3, 10, draw_day(np.random.default_rng(5), 0.1))
    assert share_drift(bins, GAMES, reference, 300_000, daily_rate(FIELDS)).is_alarm


def test_few_games_or_rows_give_no_test() -> None:
    assert share_drift(np.arange(9), np.arange(9) // 3, TEN, 1000, 0.01) == AlarmTest()
    assert share_drift(np.arange(9), np.arange(9), TEN, 1000, 0.01) == AlarmTest()  # all bins are pooled
    assert share_mean_drift(np.ones(4), np.arange(4), 0.5, 0.01) == AlarmTest()
    assert p_value_above(np.ones(4), np.arange(4), 0.5) is None


def test_days_without_a_rare_outcome_are_no_sign_of_one_that_is_predicted_too_often() -> None:
    draw = np.random.default_rng(9)
    predicted = np.full(len(GAMES), 0.001)
    found, alarms = [], 0
    for _ in range(1000):
        observed = (draw.random(len(GAMES)) < predicted).astype(float)
        variance = float((predicted * (1 - predicted)).sum())
        found.append(p_value_above(predicted - observed, GAMES, 0.0, promised_variance=variance) or 0.0)
        alarms += share_mean_drift(observed, GAMES, 0.001, daily_rate(5)).is_alarm
    assert min(found) > 0.01
    assert alarms == 0


def test_p_values_of_quiet_days_are_as_rare_as_they_say() -> None:
    draw = np.random.default_rng(6)
    found = [
        p_value_above(draw.normal(size=len(GAMES)) + draw.normal(scale=0.5, size=15)[GAMES], GAMES, 0.0) or 0.0
        for _ in range(1000)
    ]
    for rate in (0.01, 0.05, 0.3):
        assert np.mean(np.array(found) < rate) == pytest.approx(rate, abs=4 * (rate / 1000) ** 0.5)


def test_a_season_of_quiet_days_seldom_reaches_the_level_of_evidence() -> None:
    draw = np.random.default_rng(7)
    seasons = [max(accumulate_evidence(draw.random(SEASON_DAYS).tolist())) for _ in range(1000)]
    assert np.mean(np.array(seasons) >= EVIDENCE_LEVEL) <= SEASON_DAYS / EVIDENCE_LEVEL
    assert pytest.approx(0.05) == SEASON_DAYS * PAGING_TESTS / EVIDENCE_LEVEL


def test_evidence_of_a_late_drift_grows_within_days_and_fades_within_weeks() -> None:
    draw = np.random.default_rng(8)
    quiet, drift = draw.random(100).tolist(), [0.003] * 5
    evidence = list(accumulate_evidence([*quiet, *drift, None, *draw.random(30).tolist()]))
    assert max(evidence[:100]) < EVIDENCE_LEVEL <= evidence[104] == evidence[105]
    assert evidence[-1] < EVIDENCE_LEVEL
