"""Evaluation of a model version on days later than its fit and calibration windows: metrics, baselines, coverage."""

from collections import Counter
from typing import Final, Literal

from pydantic import Field

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


class RowAccount(FrozenSchema):
    """What became of the rows that were read: `read` is `used` plus the sum of `left_out`, which counts by reason.

    `unreadable_cells` counts by column the cells without which rows are used.
    """

    read: int
    used: int
    left_out: dict[str, int] = Field(default_factory=dict)
    unreadable_cells: dict[str, int] = Field(default_factory=dict)

    def leave_out(self, reason: str, rows: int) -> "RowAccount":
        """Return the account after so many of the used rows were left out."""
        if not rows:
            return self
        counts = {**self.left_out, reason: self.left_out.get(reason, 0) + rows}
        return self.model_copy(update={"used": self.used - rows, "left_out": counts})

    def __add__(self, other: "RowAccount") -> "RowAccount":
        return RowAccount(
            read=self.read + other.read,
            used=self.used + other.used,
            left_out=Counter(self.left_out) + Counter(other.left_out),
            unreadable_cells=Counter(self.unreadable_cells) + Counter(other.unreadable_cells),
        )

    def __str__(self) -> str:
        reasons = [f"{rows:,} {reason}" for reason, rows in self.left_out.items()]
        cells = [f"{cells:,} unreadable cells of {name} ignored" for name, cells in self.unreadable_cells.items()]
        return "; ".join([f"{self.read:,} rows read: {self.used:,} used", *reasons, *cells])


class Evaluation(Metrics):
    """Metrics of a version in its evaluation window, the metrics of the baselines, and details.

    `is_serving_fit`: the metrics are those of the served graph; otherwise those of the same recipe fitted on earlier
    days. `has_training_days`: the evaluation window overlaps the fit or calibration window, so the metrics are
    optimistic. `league`: of the evaluated rows; a version is trained on the major leagues only.
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
    league: Literal["major", "minor", "international", "unknown"] = "major"
    baselines: dict[str, Metrics]
    intervals: dict[str, Interval]
    prediction_sets: tuple[Coverage, ...]
    slices: tuple[Slice, ...]
    ablation: tuple[Ablation, ...] = ()
    drift: tuple[FieldDrift, ...] = ()
    reliability: dict[str, tuple[ReliabilityBin, ...]]
    account: RowAccount | None = None

    @property
    def described_window(self) -> str:
        """The evaluation window, with the league if it is not that of the training rows."""
        return str(self.evaluation_window) if self.league == "major" else f"{self.evaluation_window} ({self.league})"


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
