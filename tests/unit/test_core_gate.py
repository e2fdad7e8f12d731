import pytest

from ondeck_core.evaluation import Evaluation
from ondeck_core.promotion_gate import judge, skill
from tests.factories.evaluations import judgement as evaluation


@pytest.mark.parametrize(
    ("candidate", "serving", "passed"),
    [
        (evaluation(0.3), None, True),
        (evaluation(0.6), None, False),
        (evaluation(0.7), None, False),
        (evaluation(0.29), evaluation(0.3), True),
        (evaluation(0.3), evaluation(0.3), False),
        (evaluation(0.31), evaluation(0.3), False),
        (evaluation(0.31, constant=0.66), evaluation(0.3), True),
    ],
)
def test_only_what_has_learned_more_passes(candidate: Evaluation, serving: Evaluation | None, *, passed: bool) -> None:
    assert judge(candidate, serving).passed is passed


def test_the_verdict_names_both_figures() -> None:
    assert judge(evaluation(0.31), evaluation(0.3)).reason == "skill 0.4833 is not above the 0.5000 of what serves"


def test_an_evaluation_without_figures_is_no_evaluation() -> None:
    with pytest.raises(ValueError, match="without the log loss"):
        skill(evaluation(None))
