"""A judgement: how a version did on days later than all that it was fitted or tuned on, beside its references."""

from dataclasses import dataclass
from typing import Final

from ondeck_core.manifest import Claim, Name, Window

CONSTANT: Final = "constant"  # the baseline that predicts the outcome shares of the training rows


def version_baseline(version: int) -> str:
    """Return the name of the baseline that is another version of the model, evaluated on the same rows."""
    return f"version_{version}"


class Metrics(Claim):
    """Figures of merit of one predictor; None where it gives no such thing.

    `log_loss`: mean negative logarithm of the probability of what happened. `brier`: mean squared error, summed over
    outcomes, halved for two. `ece`: mean distance of predicted and happened over 20 equally filled bins, its mean over
    outcomes where there are more than two. `auc`: area under the ROC curve, the mean of each outcome against the rest.
    `accuracy`: share of rows whose likeliest outcome happened. `hit_...`: the same of the question hit or out.
    `xwoba_rmse`: root mean squared difference of expected and actual `woba_value`.
    """

    log_loss: float | None = None
    brier: float | None = None
    ece: float | None = None
    auc: float | None = None
    accuracy: float | None = None
    hit_log_loss: float | None = None
    hit_brier: float | None = None
    hit_ece: float | None = None
    hit_auc: float | None = None
    hit_accuracy: float | None = None
    xwoba_rmse: float | None = None


class Interval(Claim):
    """Where a figure lies in 95 of 100 draws of games."""

    low: float
    high: float


class Slice(Claim):
    """Figures of some of the rows: those whose `by` is `value`."""

    by: str
    value: str
    rows: int
    log_loss: float
    ece: float
    accuracy: float


class Coverage(Claim):
    """How prediction sets of a stated coverage did: how often they held what happened, how large they were."""

    nominal: float
    empirical: float
    mean_size: float
    empty: float
    by_outcome: dict[str, float]


class Ablation(Claim):
    """What a member adds: log loss of the member alone, and by how much the ensemble is worse without it."""

    member: str
    weight: float
    log_loss_alone: float
    log_loss_increase: float


class FieldDrift(Claim):
    """How far a field has moved from what it was in training: population stability index, 0 not at all."""

    field: str
    index: float


class ReliabilityBin(Claim):
    """Rows of like predicted probability: how many, the mean prediction, the share that happened."""

    rows: int
    predicted: float
    observed: float


class Evaluation(Metrics):
    """The figures of a version on the judged days, those of its references in `anchors`, and what lies behind them.

    `served_fit`: of the served graph itself; otherwise of the same recipe, fitted on earlier days. `fitted_days`: rows
    of days that it was fitted or calibrated on are among the judged, which makes the figures too good.
    """

    task: Name
    version: int | None = None
    fit_window: Window
    calibration_window: Window
    evaluation_window: Window
    rows: int
    games: int
    is_serving_fit: bool
    has_training_days: bool = False
    baselines: dict[str, Metrics]
    intervals: dict[str, Interval]
    prediction_sets: tuple[Coverage, ...]
    slices: tuple[Slice, ...]
    ablation: tuple[Ablation, ...] = ()
    drift: tuple[FieldDrift, ...] = ()
    reliability: dict[str, tuple[ReliabilityBin, ...]]


class Score(Claim):
    """How one predictor did on one question."""

    question: str
    predictor: str
    log_loss: float | None = None
    brier: float | None = None
    ece: float | None = None
    auc: float | None = None
    accuracy: float | None = None


def scores(evaluation: Evaluation) -> list[Score]:
    """Lay an evaluation out by question: `outcomes`, and `hit` where it was asked; the model first."""
    predictors: dict[str, Metrics] = {"model": evaluation, **evaluation.baselines}
    questions = {"outcomes": "", "hit": "hit_"}
    laid_out = [
        Score(
            question=question,
            predictor=predictor,
            **{name: getattr(figures, prefix + name) for name in ("log_loss", "brier", "ece", "auc", "accuracy")},
        )
        for question, prefix in questions.items()
        for predictor, figures in predictors.items()
    ]
    return [each for each in laid_out if each.log_loss is not None or each.accuracy is not None]


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


def compare(candidate: Evaluation, serving: Evaluation | None, *, serving_version: int | None = None) -> Verdict:
    """Decide whether a candidate may replace the version in production.

    The first version must beat the constant. A later one must beat the constant and the version in production: a lower
    log loss and an ECE that is not higher. Both metrics must be of the same rows: those on record where both versions
    were evaluated on the same window, or those of `serving_version` among the candidate's baselines.
    """
    ours = _metrics(candidate)
    if ours is None:
        return Verdict(passed=False, reason="it has no log loss or no ECE on record")
    gained = skill(candidate)
    if not gained > 0:
        return Verdict(passed=False, reason=f"no better than a constant (skill {gained:.4f})")
    if serving is None:
        return Verdict(passed=True, reason=f"nothing serves yet, and skill {gained:.4f} is above a constant's 0")
    if not (difference := _difference(candidate, serving)):
        theirs = _metrics(serving)
    elif serving_version is not None and version_baseline(serving_version) in candidate.baselines:
        theirs = _metrics(candidate.baselines[version_baseline(serving_version)])
    else:
        how = "compare both on the same later days with: ondeck models compare"
        return Verdict(passed=False, reason=f"{difference}, so their metrics cannot be compared; {how}")
    if theirs is None:
        return Verdict(passed=False, reason="what serves has no log loss or no ECE on record")
    return compare_metrics(ours, theirs)


def compare_metrics(candidate: GateMetrics, serving: GateMetrics) -> Verdict:
    """Decide on metrics of the same rows: a lower log loss, and an ECE that is not higher."""
    less = candidate.log_loss < serving.log_loss
    calibrated = candidate.ece <= serving.ece
    loss = f"log loss {candidate.log_loss:.4f} is {'' if less else 'not '}below the {serving.log_loss:.4f}"
    ece = f"ECE {candidate.ece:.4f} is {'not ' if calibrated else ''}above the {serving.ece:.4f}"
    return Verdict(passed=less and calibrated, reason=f"{loss}, and {ece} of what serves")


def needs_baseline(candidate: Evaluation, serving: Evaluation) -> bool:
    """Return whether the two were evaluated on different rows, so that the gate needs a baseline of the same rows."""
    return bool(_difference(candidate, serving))


def _metrics(found: Metrics) -> GateMetrics | None:
    if found.log_loss is None or found.ece is None:
        return None
    return GateMetrics(log_loss=found.log_loss, ece=found.ece)


def _difference(candidate: Evaluation, serving: Evaluation) -> str:
    if candidate.evaluation_window != serving.evaluation_window:
        return f"it was evaluated on {candidate.evaluation_window}, what serves on {serving.evaluation_window}"
    if candidate.rows != serving.rows:
        return f"it was evaluated on {candidate.rows:,} rows, what serves on {serving.rows:,}"
    return ""
