"""The promotion gate: skill against a constant."""

import pytest

from ondeck_core.evaluation import Evaluation, Metrics, version_baseline
from ondeck_core.promotion_gate import check_gate, skill
from tests.factories.evaluations import JULY
from tests.factories.evaluations import sample_evaluation as evaluation


@pytest.mark.parametrize(
    ("candidate", "serving", "passed"),
    [
        (evaluation(0.3), None, True),
        (evaluation(0.6), None, False),
        (evaluation(0.7), None, False),
        (evaluation(0.29), evaluation(0.3), True),
        (evaluation(0.3), evaluation(0.3), False),
        (evaluation(0.31), evaluation(0.3), False),
        (evaluation(0.31, constant=0.66), evaluation(0.3), False),
        (evaluation(0.6), evaluation(0.7), False),
    ],
)
def test_only_a_higher_skill_passes(candidate: Evaluation, serving: Evaluation | None, *, passed: bool) -> None:
    assert check_gate(candidate, serving).passed is passed


def test_the_verdict_names_the_skill() -> None:
    assert check_gate(evaluation(0.61), evaluation(0.7)).reason == "no better than a constant (skill -0.0167)"
    assert check_gate(evaluation(0.3), None).reason == "no version is in production yet; skill 0.5000 is above 0"


@pytest.mark.parametrize(("log_loss", "passed"), [(0.29, True), (0.31, False)])
def test_baselines_are_compared_if_windows_differ(*, log_loss: float, passed: bool) -> None:
    candidate = evaluation(log_loss, evaluation_window=JULY)
    baseline = {version_baseline(4): Metrics(log_loss=0.30, ece=0.004)}
    candidate = candidate.model_copy(update={"baselines": candidate.baselines | baseline})
    assert check_gate(candidate, evaluation(0.1), serving_version=4).passed is passed
    assert not check_gate(candidate, evaluation(0.9), serving_version=3).passed


def test_an_evaluation_without_log_loss_has_no_skill() -> None:
    with pytest.raises(ValueError, match="without the log loss"):
        skill(evaluation(None))
