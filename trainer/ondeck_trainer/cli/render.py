"""Judgements on a terminal."""

from rich.console import Console
from rich.table import Table

from ondeck_core.evaluation import Evaluation, scores

WIDTH = 100
MOST_SHIFTED = 5


def console() -> Console:
    """Make a console that is as wide everywhere."""
    return Console(width=WIDTH, highlight=False)


def print_evaluation(judged: Evaluation) -> None:
    """Lay a judgement out: figures beside the references, prediction sets, what has shifted."""
    out = console()
    out.print(score_table(judged))
    for sets in judged.prediction_sets:
        told = f"prediction sets of {sets.nominal:.0%} held what happened in {sets.empirical:.1%}"
        out.print(f"{told}, with {sets.mean_size:.2f} outcomes each")
    if judged.drift:
        moved = ", ".join(f"{each.field} {each.index:.3f}" for each in judged.drift[:MOST_SHIFTED])
        out.print(f"most shifted since training (population stability index): {moved}")
    if judged.has_training_days:
        out.print("it was fitted on some of these days: the figures are too good")


def score_table(judged: Evaluation) -> Table:
    """Lay the figures out, one line for each question and predictor."""
    title = f"{judged.task}, judged on {judged.evaluation_window}: {judged.rows:,} rows of {judged.games:,} games"
    table = Table(title=title, title_justify="left")
    for column in ("question", "predictor", "log loss", "Brier", "ECE", "AUC", "accuracy"):
        table.add_column(column, justify="left" if column in {"question", "predictor"} else "right")
    for each in scores(judged):
        figures = (each.log_loss, each.brier, each.ece, each.auc, each.accuracy)
        told = ("" if figure is None else f"{figure:.4f}" for figure in figures)
        table.add_row(each.question, each.predictor, *told)
    return table
