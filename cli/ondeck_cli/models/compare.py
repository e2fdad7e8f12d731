"""`ondeck models compare`: two versions on the same later rows, with bootstrap intervals over games."""

import asyncio
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ondeck_cli.models.repository_lookup import find_model, repository_of, repository_option
from ondeck_core.evaluation import Interval
from ondeck_core.tasks import task_named
from ondeck_runtime.settings import read_settings
from ondeck_trainer.artifact.published_model import open_version
from ondeck_trainer.data.source import read_statcast_files, read_stored_rows
from ondeck_trainer.evaluation.published_versions import VersionComparison, compare, exclude_training_days
from ondeck_trainer.settings import TrainerSettings


@click.command(name="compare")
@click.argument("model")
@click.argument("first", type=click.IntRange(1))
@click.argument("second", type=click.IntRange(1))
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--include-fitted", is_flag=True, help="Include days that a version was fitted on; biases the figures.")
@repository_option
def compare_(
    model: str, first: int, second: int, paths: tuple[Path, ...], *, include_fitted: bool, **flags: object
) -> None:
    """Compare versions FIRST and SECOND of MODEL on the rows of files (PATH...), by default on the stored rows.

    Days that either version was fitted on are left out. Intervals are 95 % bootstrap intervals over whole games.
    """
    repository, settings = repository_of(flags), read_settings(TrainerSettings)
    task = task_named(find_model(repository, model).model)
    one, other = open_version(repository, task, first), open_version(repository, task, second)
    source = read_statcast_files(paths, task) if paths else asyncio.run(read_stored_rows(settings, task))
    comparison = compare(
        one, other, exclude_training_days(source, one.manifest, other.manifest, include_fitted=include_fitted)
    )
    Console(width=100, highlight=False).print(_table(model, first, second, comparison))
    click.echo(conclude(first, comparison))


def conclude(first: int, comparison: VersionComparison) -> str:
    """Return whether the first version is better, worse, or not distinguishable, as a sentence."""
    interval = comparison.log_loss_interval
    if interval.high < 0:
        return f"version {first} is better: its log loss is lower in at least 39 of 40 bootstrap samples"
    if interval.low > 0:
        return f"version {first} is worse: its log loss is higher in at least 39 of 40 bootstrap samples"
    return "the difference is not significant on these rows"


def _table(model: str, first: int, second: int, comparison: VersionComparison) -> Table:
    window = comparison.evaluation_window
    title = f"{model}, evaluated on {window}: {comparison.rows:,} rows of {comparison.games:,} games"
    table = Table(title=title, title_justify="left")
    for column in ("metric", f"version {first}", f"version {second}", "difference", "95 % interval"):
        table.add_column(column, justify="left" if column == "metric" else "right")
    one, other = comparison.first, comparison.second
    table.add_row("log loss", *_row(one.log_loss, other.log_loss, comparison.log_loss, comparison.log_loss_interval))
    table.add_row("ECE", *_row(one.ece, other.ece, comparison.ece, comparison.ece_interval))
    return table


def _row(one: float | None, other: float | None, difference: float, interval: Interval) -> tuple[str, ...]:
    values = ("" if value is None else f"{value:.4f}" for value in (one, other))
    return (*values, f"{difference:+.5f}", f"{interval.low:+.5f} to {interval.high:+.5f}")
