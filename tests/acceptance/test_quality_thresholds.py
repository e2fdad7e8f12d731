"""The quality thresholds on real September 2024, of fits that have not seen it, and of the server that serves them."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from benchmarks.messages import columns
from ondeck_client import Client
from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS, Task
from ondeck_trainer.artifact.published_model import open_version
from ondeck_trainer.data.source import SourceRows
from ondeck_trainer.evaluation.published_versions import evaluate_version, exclude_training_days
from tests.fixtures.models import RealFit
from tests.fixtures.server import serving

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(1800)]  # a fit of a season takes minutes


FITTED = ("batted_ball", "called_strike")  # the other two take as long; their recorded evaluations are read


def test_hit_probabilities_beat_mlb_xba(real_fit: Callable[[str], RealFit]) -> None:
    evaluation = real_fit("batted_ball").evaluation
    assert str(evaluation.evaluation_window) == "2024-09-01 to 2024-09-30"
    assert evaluation.hit_log_loss is not None
    assert evaluation.hit_log_loss <= 0.325
    assert evaluation.hit_accuracy is not None
    assert evaluation.hit_accuracy >= 0.857
    assert evaluation.hit_ece is not None
    assert evaluation.hit_ece <= 0.008
    assert evaluation.log_loss is not None
    assert evaluation.log_loss <= 0.424
    assert evaluation.baselines["xba"].hit_log_loss == pytest.approx(0.400, abs=0.002)


def test_expected_woba_error_is_12_percent_below_mlb(
    real_fit: Callable[[str], RealFit],
) -> None:
    evaluation = real_fit("batted_ball").evaluation
    published = evaluation.baselines["xwoba"].xwoba_rmse
    assert evaluation.xwoba_rmse is not None
    assert published is not None
    assert evaluation.xwoba_rmse <= 0.88 * published


def test_called_strikes_reach_their_thresholds(real_fit: Callable[[str], RealFit]) -> None:
    evaluation = real_fit("called_strike").evaluation
    assert str(evaluation.evaluation_window) == "2024-09-01 to 2024-09-30"
    assert evaluation.log_loss is not None
    assert evaluation.log_loss <= 0.137
    assert evaluation.accuracy is not None
    assert evaluation.accuracy >= 0.94


@pytest.mark.parametrize("task", FITTED)
def test_no_row_of_the_evaluation_month_was_fitted_on(
    real_season: pl.DataFrame, real_fit: Callable[[str], RealFit], task: str
) -> None:
    fit = real_fit(task)
    assert fit.days.fit.last_day < fit.days.calibrate.first_day <= fit.days.calibrate.last_day
    assert fit.days.calibrate.last_day < fit.days.evaluate.first_day
    served = open_version(fit.models, TASKS[task])
    source = SourceRows.of(real_season.filter(pl.col("game_date") <= fit.days.evaluate.last_day))
    again = evaluate_version(served, exclude_training_days(source, served.manifest))
    assert (again.evaluation_window, again.rows) == (fit.evaluation.evaluation_window, fit.evaluation.rows)
    assert again.log_loss == pytest.approx(fit.evaluation.log_loss, abs=1e-9)


@pytest.mark.parametrize("task", FITTED)
def test_calibration_holds_on_later_days(real_fit: Callable[[str], RealFit], task: str) -> None:
    ece = real_fit(task).evaluation.ece
    assert ece is not None
    assert ece < 0.01


@pytest.mark.parametrize("task", FITTED)
def test_prediction_sets_have_their_stated_coverage(real_fit: Callable[[str], RealFit], task: str) -> None:
    held = {each.nominal: each.empirical for each in real_fit(task).evaluation.prediction_sets}
    assert held == {0.8: pytest.approx(0.8, abs=0.015), 0.9: pytest.approx(0.9, abs=0.01)}


@pytest.mark.parametrize("task", [TASKS[name] for name in FITTED], ids=FITTED)
def test_served_probabilities_are_those_of_scikit_learn_on_a_thousand_real_rows(
    real_fit: Callable[[str], RealFit], task: Task
) -> None:
    fit = real_fit(task.name)
    rows = fit.dataset.between(fit.days.evaluate)
    drawn = np.random.default_rng(5).choice(len(rows), 1000, replace=False)
    instances: Matrix = rows.instances[drawn]
    with serving(fit.models) as server, Client(server.target) as client:
        answer = client.batch_predict(task.name, columns(task.instance, instances))
    served = np.array(answer.probabilities).reshape(len(instances), len(task.outcomes))
    assert np.abs(served - fit.trained.ensemble.predict(rows.features[drawn])).max() <= 1e-5
