"""The promotion gate: whether a version may replace the one in production, by evaluations of the same rows."""

from dataclasses import dataclass

from ondeck_core.evaluation import CONSTANT, Evaluation, Metrics, version_baseline


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a version passes the gate, and why."""

    passed: bool
    reason: str


@dataclass(frozen=True, kw_only=True)
class GateMetrics:
    """The metrics that the gate compares; lower is better."""

    log_loss: float
    ece: float


def skill(evaluation: Evaluation) -> float:
    """Compute 1 - log loss of the model / log loss of the constant: 0 or below for a model that learned nothing."""
    model, constant = evaluation.log_loss, evaluation.baselines[CONSTANT].log_loss
    if model is None or constant is None:
        raise ValueError("an evaluation without the log loss of the model or of the constant")
    return 1 - model / constant


def check_gate(candidate: Evaluation, serving: Evaluation | None, *, serving_version: int | None = None) -> Verdict:
    """Decide whether a candidate may replace the version in production.

    The first version must beat the constant. A later one must beat the constant and the version in production: a lower
    log loss and an ECE that is not higher. Both metrics must be of the same rows: those of `serving_version` among the
    candidate's baselines or, without them, those on record if both versions were evaluated on the same window.
    """
    ours = _metrics(candidate)
    if ours is None:
        return Verdict(passed=False, reason="it has no log loss or no ECE on record")
    candidate_skill = skill(candidate)
    if not candidate_skill > 0:
        return Verdict(passed=False, reason=f"no better than a constant (skill {candidate_skill:.4f})")
    if serving is None:
        return Verdict(passed=True, reason=f"no version is in production yet; skill {candidate_skill:.4f} is above 0")
    if serving_version is not None and version_baseline(serving_version) in candidate.baselines:
        theirs = _metrics(candidate.baselines[version_baseline(serving_version)])
    elif not (difference := _difference(candidate, serving)):
        theirs = _metrics(serving)
    else:
        how = "compare both on the same later days with: ondeck models compare"
        return Verdict(passed=False, reason=f"{difference}, so their metrics cannot be compared; {how}")
    if theirs is None:
        return Verdict(passed=False, reason="the production version has no log loss or no ECE on record")
    return compare_metrics(ours, theirs)


def compare_metrics(candidate: GateMetrics, serving: GateMetrics) -> Verdict:
    """Decide on metrics of the same rows: a lower log loss, and an ECE that is not higher."""
    is_lower = candidate.log_loss < serving.log_loss
    is_calibrated = candidate.ece <= serving.ece
    loss = f"log loss {candidate.log_loss:.4f} is {'' if is_lower else 'not '}below the {serving.log_loss:.4f}"
    ece = f"ECE {candidate.ece:.4f} is {'not ' if is_calibrated else ''}above the {serving.ece:.4f}"
    return Verdict(passed=is_lower and is_calibrated, reason=f"{loss}, and {ece} of the production version")


def needs_baseline(candidate: Evaluation, serving: Evaluation) -> bool:
    """Return whether the two were evaluated on different rows, so that the gate needs a baseline of the same rows."""
    return bool(_difference(candidate, serving))


def _metrics(found: Metrics) -> GateMetrics | None:
    if found.log_loss is None or found.ece is None:
        return None
    return GateMetrics(log_loss=found.log_loss, ece=found.ece)


def _difference(candidate: Evaluation, serving: Evaluation) -> str:
    if candidate.evaluation_window != serving.evaluation_window:
        return f"it was evaluated on {candidate.evaluation_window}, production on {serving.evaluation_window}"
    if candidate.rows != serving.rows:
        return f"it was evaluated on {candidate.rows:,} rows, production on {serving.rows:,}"
    return ""
