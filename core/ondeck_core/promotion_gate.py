"""The gate before an alias moves: a version must be better than the one that serves."""

from dataclasses import dataclass

from ondeck_core.evaluation import CONSTANT, Evaluation


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


@dataclass(frozen=True, kw_only=True)
class GateMetrics:
    """What a decision is taken on: less is better. Figures of two versions are of the same rows."""

    log_loss: float
    ece: float


def may_promote(candidate: Evaluation, serving: Evaluation | None) -> Verdict:
    """Decide on what is on record: two versions that were judged on the same rows, or a first one by itself."""
    if serving is None:
        return judge(candidate, None)
    ours, theirs = figures_of(candidate), figures_of(serving)
    if ours is None or theirs is None:
        return Verdict(passed=False, reason=f"{_whose(ours)} has no log loss or no ECE on record")
    if unlike := _unlike(candidate, serving):
        how = "judge both on the same later days with: ondeck models compare"
        return Verdict(passed=False, reason=f"{unlike}, so their figures cannot be compared; {how}")
    return weigh(ours, theirs)


def weigh(candidate: GateMetrics, serving: GateMetrics) -> Verdict:
    """Decide on figures of the same rows: a better log loss, and a calibration that is no worse."""
    less = candidate.log_loss < serving.log_loss
    calibrated = candidate.ece <= serving.ece
    loss = f"log loss {candidate.log_loss:.4f} is {'' if less else 'not '}below the {serving.log_loss:.4f}"
    ece = f"ECE {candidate.ece:.4f} is {'not ' if calibrated else ''}above the {serving.ece:.4f}"
    return Verdict(passed=less and calibrated, reason=f"{loss}, and {ece} of what serves")


def figures_of(evaluation: Evaluation) -> GateMetrics | None:
    """Read how the outcomes were met; None where that is not on record."""
    if evaluation.log_loss is None or evaluation.ece is None:
        return None
    return GateMetrics(log_loss=evaluation.log_loss, ece=evaluation.ece)


def _whose(ours: GateMetrics | None) -> str:
    return "what serves" if ours else "it"


def _unlike(candidate: Evaluation, serving: Evaluation) -> str:
    if candidate.judged != serving.judged:
        return f"it was judged on {candidate.judged}, what serves on {serving.judged}"
    if candidate.rows != serving.rows:
        return f"it was judged on {candidate.rows:,} rows, what serves on {serving.rows:,}"
    return ""
