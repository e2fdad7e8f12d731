"""The promotion gate: log loss and calibration on the same rows."""

import pytest

from ondeck_core.evaluation import Evaluation, Metrics
from ondeck_core.promotion_gate import check_gate
from tests.factories.evaluations import JULY, JUNE
from tests.factories.evaluations import sample_evaluation as evaluation

ADVICE = "compare both on the same later days with: ondeck models compare"


@pytest.mark.parametrize(
    ("candidate", "serving", "passed"),
    [
        (evaluation(0.29), evaluation(0.30), True),
        (evaluation(0.30), evaluation(0.30), False),
        (evaluation(0.31), evaluation(0.30), False),
        (evaluation(0.29, 0.003), evaluation(0.30), True),
        (evaluation(0.29, 0.005), evaluation(0.30), False),
        (evaluation(0.30, 0.003), evaluation(0.30), False),
        (evaluation(float("nan")), evaluation(0.30), False),
        (evaluation(0.29, float("nan")), evaluation(0.30), False),
        (evaluation(0.29, evaluation_window=JULY), evaluation(0.30), False),
        (evaluation(0.29, rows=999), evaluation(0.30), False),
        (evaluation(None), evaluation(0.30), False),
        (evaluation(0.29), evaluation(0.30, None), False),
        (evaluation(0.59), None, True),
        (evaluation(0.60), None, False),
    ],
)
def test_only_a_better_log_loss_and_no_worse_calibration_on_the_same_rows_pass(
    candidate: Evaluation, serving: Evaluation | None, *, passed: bool
) -> None:
    assert check_gate(candidate, serving).passed is passed


@pytest.mark.parametrize(
    ("candidate", "serving", "reason"),
    [
        (
            evaluation(0.29, 0.005),
            evaluation(0.30),
            "log loss 0.2900 is below the 0.3000, and ECE 0.0050 is above the 0.0040 of the production version",
        ),
        (
            evaluation(0.31),
            evaluation(0.30),
            "log loss 0.3100 is not below the 0.3000, and ECE 0.0040 is not above the 0.0040 of the production version",
        ),
        (
            evaluation(0.29, evaluation_window=JULY),
            evaluation(0.30),
            f"it was evaluated on {JULY}, production on {JUNE}, so their metrics cannot be compared; {ADVICE}",
        ),
        (
            evaluation(0.29, rows=1001),
            evaluation(0.30),
            f"it was evaluated on 1,001 rows, production on 1,000, so their metrics cannot be compared; {ADVICE}",
        ),
        (evaluation(None), evaluation(0.30), "it has no log loss or no ECE on record"),
        (evaluation(0.29), evaluation(None), "the production version has no log loss or no ECE on record"),
    ],
)
def test_the_verdict_gives_its_reason_and_advice(candidate: Evaluation, serving: Evaluation, reason: str) -> None:
    assert check_gate(candidate, serving).reason == reason


@pytest.mark.parametrize(("log_loss", "passed"), [(0.31, True), (0.28, False)])
def test_a_baseline_on_the_same_rows_precedes_the_metrics_on_record(log_loss: float, *, passed: bool) -> None:
    candidate, serving = evaluation(0.29), evaluation(0.30)
    baselines = {**candidate.baselines, "version_3": Metrics(log_loss=log_loss, ece=0.004)}
    candidate = candidate.model_copy(update={"baselines": baselines})
    assert check_gate(candidate, serving, serving_version=3).passed is passed
    assert check_gate(candidate, serving, serving_version=2).passed is True
