"""The marks, on real September 2024: judged by fits that never saw it, and by the very server that answers."""

from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.messages import columns
from ondeck_client import Client
from ondeck_core.instances import Matrix
from ondeck_core.manifest import Evaluation
from ondeck_core.tasks import TASKS, Task
from ondeck_trainer.evaluate import evaluate
from tests.fixtures_models import RealFit
from tests.fixtures_server import serving

pytestmark = pytest.mark.realdata


def log_loss(evaluation: Evaluation, question: str, predictor: str) -> float:
    found = next(s.log_loss for s in evaluation.scores if (s.question, s.predictor) == (question, predictor))
    assert found is not None
    return found


def test_hits_on_balls_in_play_are_foreseen_better_than_by_xba(real_fit: Callable[[str], RealFit]) -> None:
    judged = real_fit("batted_ball").judged.evaluation
    assert str(judged.judged) == "2024-09-01 to 2024-09-30"
    assert log_loss(judged, "hit", "model") <= 0.345
    assert log_loss(judged, "hit", "xba") == pytest.approx(0.400, abs=0.002)


def test_called_strikes_are_foreseen(real_fit: Callable[[str], RealFit]) -> None:
    judged = real_fit("called_strike").judged.evaluation
    assert str(judged.judged) == "2024-09-01 to 2024-09-30"
    assert log_loss(judged, "outcomes", "model") <= 0.145


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_nothing_was_learned_from_the_judged_month(real_fit: Callable[[str], RealFit], task: Task) -> None:
    fit = real_fit(task.name)
    assert fit.days.fit.last_day < fit.days.calibrate.first_day <= fit.days.calibrate.last_day
    assert fit.days.calibrate.last_day < fit.days.judge.first_day
    judged = fit.dataset.between(fit.days.judge)
    again = evaluate(fit.judged.ensemble, judged, np.full(len(task.outcomes), 0.5), fit.days)
    assert log_loss(again, "outcomes", "model") == log_loss(fit.judged.evaluation, "outcomes", "model")


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_calibration_holds_on_later_days(real_fit: Callable[[str], RealFit], task: Task) -> None:
    scores = real_fit(task.name).judged.evaluation.scores
    model = next(score for score in scores if (score.question, score.predictor) == ("outcomes", "model"))
    assert model.ece is not None
    assert model.ece < 0.01


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_served_probabilities_are_those_of_scikit_learn_on_a_thousand_real_rows(
    real_fit: Callable[[str], RealFit], task: Task
) -> None:
    fit = real_fit(task.name)
    rows = fit.dataset.between(fit.days.judge)
    drawn = np.random.default_rng(5).choice(len(rows), 1000, replace=False)
    instances: Matrix = rows.instances[drawn]
    with serving(fit.models) as server, Client(server.target) as client:
        answer = client.batch_predict(task.name, columns(task.instance, instances))
    served = np.array(answer.probabilities).reshape(len(instances), len(task.outcomes))
    assert np.abs(served - fit.judged.ensemble.predict(rows.features[drawn])).max() <= 1e-5
