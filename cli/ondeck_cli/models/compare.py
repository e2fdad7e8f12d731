"""`ondeck models compare`: two versions on the same later rows, game by game."""

import asyncio
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ondeck_cli.models.options import line_named, repository_of, shelved
from ondeck_core.evaluation import Interval
from ondeck_core.tasks import task_named
from ondeck_store.settings import read_settings
from ondeck_trainer.artifact.published_model import open_version
from ondeck_trainer.data.source import rows_of_files, stored_rows
from ondeck_trainer.evaluation.compare import VersionComparison, compare, unseen
from ondeck_trainer.settings import TrainerSettings


@click.command(name="compare")
@click.argument("model")
@click.argument("first", type=click.IntRange(1))
@click.argument("second", type=click.IntRange(1))
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--include-fitted", is_flag=True, help="Days that one was fitted on, too; figures are then too good.")
@shelved
def compare_(
    model: str, first: int, second: int, paths: tuple[Path, ...], *, include_fitted: bool, **flags: object
) -> None:
    """Ask the FIRST and the SECOND version of MODEL about the same rows: of files (PATH...), or the stored ones.

    Days that either was fitted on are left out. Intervals are of 95 in 100 draws of whole games.
    """
    repository, settings = repository_of(flags), read_settings(TrainerSettings)
    task = task_named(line_named(repository, model).model)
    one, other = open_version(repository, task, first), open_version(repository, task, second)
    rows = rows_of_files(paths, task) if paths else asyncio.run(stored_rows(settings, task))
    found = compare(one, other, unseen(rows, one.manifest, other.manifest, fitted_too=include_fitted))
    Console(width=100, highlight=False).print(_table(model, first, second, found))
    click.echo(in_words(first, found))


def in_words(first: int, found: VersionComparison) -> str:
    """Say what the difference means."""
    if found.log_loss_interval.high < 0:
        return f"version {first} is better: not in 1 of 40 draws of games is its log loss as high"
    if found.log_loss_interval.low > 0:
        return f"version {first} is worse: not in 1 of 40 draws of games is its log loss as low"
    return "these rows cannot tell which is better"


def _table(model: str, first: int, second: int, found: VersionComparison) -> Table:
    title = f"{model}, judged on {found.evaluation_window}: {found.rows:,} rows of {found.games:,} games"
    table = Table(title=title, title_justify="left")
    for column in ("figure", f"version {first}", f"version {second}", "difference", "of 95 in 100 draws"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    one, other = found.first, found.second
    table.add_row("log loss", *_line(one.log_loss, other.log_loss, found.log_loss, found.log_loss_interval))
    table.add_row("ECE", *_line(one.ece, other.ece, found.ece, found.ece_interval))
    return table


def _line(one: float | None, other: float | None, difference: float, interval: Interval) -> tuple[str, ...]:
    values = ("" if value is None else f"{value:.4f}" for value in (one, other))
    return (*values, f"{difference:+.5f}", f"{interval.low:+.5f} to {interval.high:+.5f}")
