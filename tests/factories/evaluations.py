"""Evaluations with only the metrics that the promotion gate reads."""

from datetime import date

from ondeck_core.evaluation import Evaluation, Metrics
from ondeck_core.manifest import Window

JUNE = Window(first_day=date(2022, 6, 1), last_day=date(2022, 6, 30))
JULY = Window(first_day=date(2022, 7, 1), last_day=date(2022, 7, 31))


def sample_evaluation(
    log_loss: float | None,
    ece: float | None = 0.004,
    *,
    constant: float | None = 0.6,
    evaluation_window: Window = JUNE,
    rows: int = 1000,
) -> Evaluation:
    return Evaluation(
        log_loss=log_loss,
        ece=ece,
        hit_log_loss=9.0,
        hit_ece=0.9,
        task="called_strike",
        fit_window=JUNE,
        calibration_window=JUNE,
        evaluation_window=evaluation_window,
        rows=rows,
        games=10,
        is_serving_fit=False,
        baselines={"constant": Metrics(log_loss=constant, ece=0.001)},
        intervals={},
        prediction_sets=(),
        slices=(),
        reliability={},
    )
