"""Evaluation of a model version on days later than its fit and calibration windows, and the promotion gate."""

from dataclasses import dataclass
from typing import Final, Literal

from ondeck_core.manifest import FrozenSchema, Name, Window

EVALUATION_FORMAT: Final = 2
CONSTANT: Final = "constant"  # the baseline that predicts the outcome shares of the training rows


def version_baseline(version: int) -> str:
    """Return the name of the baseline that is another version of the model, evaluated on the same rows."""
    return f"version_{version}"


class Metrics(FrozenSchema):
    """Metrics of one predictor; None where the metric does not apply.

    `log_loss`: mean negative log probability of the observed outcome. `brier`: mean squared error, summed over
    outcomes, halved for two. `ece`: expected calibration error over 20 bins of equal count, averaged over three or more
    outcomes. `auc`: area under the ROC curve, one outcome against the rest, averaged. `accuracy`: share of rows whose
    most probable outcome was observed. `hit_...`: the same metrics for hit or out. `xwoba_rmse`: root mean squared
    error of the expected against the actual `woba_value`.
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


class Interval(FrozenSchema):
    """95 % bootstrap confidence interval of a metric, with games as the resampling unit."""

    low: float
    high: float


class Slice(FrozenSchema):
    """Metrics of the rows whose column `by` equals `value`."""

    by: str
    value: str
    rows: int
    log_loss: float
    ece: float
    accuracy: float


class Coverage(FrozenSchema):
    """Nominal and empirical coverage of the prediction sets, with their mean size and the share of empty sets."""

    nominal: float
    empirical: float
    mean_size: float
    empty: float
    by_outcome: dict[str, float]


class Ablation(FrozenSchema):
    """Contribution of a member: its log loss alone, and the increase of the ensemble's log loss without it."""

    member: str
    weight: float
    log_loss_alone: float
    log_loss_increase: float


class FieldDrift(FrozenSchema):
    """Drift of a field since training: `index` is the population stability index, 0 for no drift."""

    field: str
    index: float


class ReliabilityBin(FrozenSchema):
    """One bin of a reliability diagram: row count, mean predicted probability, observed frequency."""

    rows: int
    predicted: float
    observed: float


class Evaluation(Metrics):
    """Metrics of a version in its evaluation window, the metrics of the baselines, and details.

    `is_serving_fit`: the metrics are those of the served graph; otherwise those of the same recipe fitted on earlier
    days. `has_training_days`: the evaluation window overlaps the fit or calibration window, so the metrics are
    optimistic.
    """

    format: Literal[2] = EVALUATION_FORMAT
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


class Score(FrozenSchema):
    """Metrics of one predictor for one question: `outcomes` or `hit`."""

    question: str
    predictor: str
    log_loss: float | None = None
    brier: float | None = None
    ece: float | None = None
    auc: float | None = None
    accuracy: float | None = None


def scores(evaluation: Evaluation) -> list[Score]:
    """List the scores of an evaluation by question (`outcomes`, then `hit` if present), the model first."""
    predictors: dict[str, Metrics] = {"model": evaluation, **evaluation.baselines}
    questions = {"outcomes": "", "hit": "hit_"}
    all_scores = [
        Score(
            question=question,
            predictor=predictor,
            **{name: getattr(figures, prefix + name) for name in ("log_loss", "brier", "ece", "auc", "accuracy")},
        )
        for question, prefix in questions.items()
        for predictor, figures in predictors.items()
    ]
    return [each for each in all_scores if each.log_loss is not None or each.accuracy is not None]


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
