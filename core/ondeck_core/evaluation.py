"""A judgement: how a version did on days later than all that it was fitted or tuned on, beside its references."""

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
