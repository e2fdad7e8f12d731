"""The gate before an alias moves: a new version must have learned more than the one that serves."""

from dataclasses import dataclass

from ondeck_core.judgement import Evaluation
from ondeck_trainer.anchors import CONSTANT


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a version may serve, and why."""

    passed: bool
    reason: str


def skill(evaluation: Evaluation) -> float:
    """Share of the constant's log loss that the model takes away; 0 for one that knows nothing, below for worse."""
    model, constant = evaluation.log_loss, evaluation.anchors[CONSTANT].log_loss
    if model is None or constant is None:
        raise ValueError("an evaluation without the log loss of the model or of the constant")
    return 1 - model / constant


def judge(candidate: Evaluation, serving: Evaluation | None) -> Verdict:
    """Decide whether a candidate may take the place of what serves."""
    gained = skill(candidate)
    if gained <= 0:
        return Verdict(passed=False, reason=f"no better than a constant (skill {gained:.4f})")
    if serving is None:
        return Verdict(passed=True, reason=f"nothing serves yet, and skill {gained:.4f} is above a constant's 0")
    held = skill(serving)
    if gained <= held:
        return Verdict(passed=False, reason=f"skill {gained:.4f} is not above the {held:.4f} of what serves")
    return Verdict(passed=True, reason=f"skill {gained:.4f} is above the {held:.4f} of what serves")
