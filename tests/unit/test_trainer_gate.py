from datetime import date

import pytest

from ondeck_core.manifest import Evaluation, Score, Window
from ondeck_trainer.gate import judge, skill

DAYS = Window(first_day=date(2022, 6, 1), last_day=date(2022, 6, 30))


def evaluation(model: float, constant: float = 0.6) -> Evaluation:
    return Evaluation(
        task="called_strike",
        fitted=DAYS,
        calibrated=DAYS,
        judged=DAYS,
        rows=1,
        served_fit=False,
        scores=(
            Score(question="outcomes", predictor="model", log_loss=model),
            Score(question="outcomes", predictor="constant", log_loss=constant),
            Score(question="hit", predictor="model", log_loss=9.0),
        ),
        reliability={},
    )


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
    without = evaluation(0.3).model_copy(
        update={"scores": (Score(question="outcomes", predictor="model"), evaluation(0.3).scores[1])}
    )
    with pytest.raises(ValueError, match="without the log loss"):
        skill(without)
