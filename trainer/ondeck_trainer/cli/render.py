"""Evaluations as tables on a terminal."""

import structlog
from rich.console import Console
from rich.table import Table

from ondeck_core.evaluation import Evaluation, RowAccount, scores
from ondeck_core.statcast.leagues import LEFT_OUT, UNKNOWN
from ondeck_trainer.data.dataset import INCOMPLETE, UNKNOWN_OUTCOME

WIDTH = 100
DRIFT_FIELDS = 5
MAX_LOST_SHARE = 0.01
log = structlog.get_logger()


def make_console() -> Console:
    """Return a console of fixed width, so that the output does not depend on the terminal."""
    return Console(width=WIDTH, highlight=False)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the metrics beside the baselines, the coverage of prediction sets, and the fields with the most drift."""
    out = make_console()
    out.print(build_score_table(evaluation))
    for sets in evaluation.prediction_sets:
        coverage = f"prediction sets of {sets.nominal:.0%} contained the outcome in {sets.empirical:.1%} of the rows"
        out.print(f"{coverage}, with {sets.mean_size:.2f} outcomes each")
    if evaluation.drift:
        drift = ", ".join(f"{each.field} {each.index:.3f}" for each in evaluation.drift[:DRIFT_FIELDS])
        out.print(f"largest drift since training (population stability index): {drift}")
    if evaluation.has_training_days:
        out.print("the rows include training days: the metrics are too good")
    print_account(evaluation.account)


def print_account(account: RowAccount | None) -> None:
    """Print which rows were used, and a warning if many rows of the task were not."""
    if account is None:
        return
    out = make_console()
    out.print(str(account))
    lost = sum(
        rows
        for reason, rows in account.left_out.items()
        if reason in {INCOMPLETE, LEFT_OUT[UNKNOWN]} or reason.startswith(("rejected", UNKNOWN_OUTCOME))
    )
    share = lost / (account.used + lost)
    if share > MAX_LOST_SHARE:
        out.print(f"warning: {share:.1%} of the rows that may be of the task were left out; the metrics may be biased")


def log_account(task: str, account: RowAccount | None) -> None:
    """Log which rows were used, and why the others were not."""
    if account is not None:
        log.info("rows_accounted", task=task, **account.model_dump())


def build_score_table(evaluation: Evaluation) -> Table:
    """Build the table of metrics, one line for each question and predictor."""
    rows = f"{evaluation.rows:,} rows of {evaluation.games:,} games"
    title = f"{evaluation.task}, evaluated on {evaluation.described_window}: {rows}"
    table = Table(title=title, title_justify="left")
    for column in ("question", "predictor", "log loss", "Brier", "ECE", "AUC", "accuracy"):
        table.add_column(column, justify="left" if column in {"question", "predictor"} else "right")
    for each in scores(evaluation):
        metrics = (each.log_loss, each.brier, each.ece, each.auc, each.accuracy)
        table.add_row(each.question, each.predictor, *("" if value is None else f"{value:.4f}" for value in metrics))
    return table
