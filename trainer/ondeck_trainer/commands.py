"""`ondeck train`."""

import asyncio
from datetime import datetime
from pathlib import Path

import click
import polars as pl
from rich.console import Console
from rich.table import Table

from ondeck_core.errors import OndeckError
from ondeck_core.judgement import Score, scores
from ondeck_core.manifest import MODEL_FILE
from ondeck_core.tasks import Task, task_named
from ondeck_store.database import open_database
from ondeck_store.migrations import migrate
from ondeck_store.pitches import read_pitches, span_of_days
from ondeck_store.settings import StoreSettings, read_settings
from ondeck_trainer.dataset import Dataset, columns_of, dataset_of
from ondeck_trainer.publishing import Published
from ondeck_trainer.settings import TrainerSettings
from ondeck_trainer.training import Plan
from ondeck_trainer.training import train as run
from ondeck_trainer.workers import Workers


class NothingStoredError(OndeckError):
    """There is nothing to learn from."""


@click.command()
@click.argument("task")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the embedded database (ONDECK_HOME).")
@click.option("--database-url", help="A PostgreSQL server (ONDECK_DATABASE_URL).")
@click.option("--models", type=click.Path(path_type=Path), help="The model repository (ONDECK_MODELS).")
@click.option("--seed", type=int, help="Seed of everything that is drawn (ONDECK_SEED).")
@click.option("--jobs", type=int, help="Processes that fit, one thread each (ONDECK_JOBS).")
@click.option("--dask", metavar="ADDRESS", help="A Dask cluster whose workers fit, as tcp://HOST:PORT (ONDECK_DASK).")
@click.option("--judge-from", type=click.DateTime(["%Y-%m-%d"]), help="First day judged; else the last full month.")
@click.option("--force", is_flag=True, help="Publish even if it is not better than what serves.")
def train(task: str, judge_from: datetime | None, *, force: bool, **flags: object) -> None:
    """Fit, judge and publish the model of TASK from the stored rows of regular seasons.

    Exit code 1: it is not better than what serves, or its graph does not answer as it does; nothing is published.
    """
    chosen = task_named(task)
    settings = read_settings(TrainerSettings, **flags)
    plan = Plan(
        models=settings.models,
        seed=settings.seed,
        judge_from=None if judge_from is None else judge_from.date(),
        force=force,
        workers=Workers(jobs=settings.jobs, dask=settings.dask),
    )
    click.echo(f"{chosen.name}: reading rows", err=True)
    dataset = dataset_of(chosen, asyncio.run(_stored_rows(settings, chosen)))
    click.echo(f"{chosen.name}: {len(dataset):,} rows, {dataset.left_out:,} left out (required fields empty)", err=True)
    _report(run(dataset, plan, lambda line: click.echo(f"{chosen.name}: {line}", err=True)), dataset)


async def _stored_rows(settings: StoreSettings, task: Task) -> pl.DataFrame:
    async with open_database(settings) as database:
        await migrate(database.engine)
        async with database.engine.connect() as connection:
            span = await span_of_days(connection)
            if span is None:
                raise NothingStoredError(
                    f"no regular-season rows in {database.described}; load some first: "
                    "ondeck ingest files PATH..., or ondeck ingest days FROM TO"
                )
            first, last = span
            return await read_pitches(connection, first_day=first, last_day=last, columns=columns_of(task))


def _report(published: Published, dataset: Dataset) -> None:
    evaluation, manifest = published.evaluation, published.manifest
    console = Console(width=100, highlight=False)
    table = Table(
        title=f"{manifest.model}, judged on {evaluation.judged}: {evaluation.rows:,} rows", title_justify="left"
    )
    for column in ("question", "predictor", "log loss", "Brier", "ECE", "AUC", "accuracy"):
        table.add_column(column, justify="left" if column in ("question", "predictor") else "right")
    for score in scores(evaluation):
        table.add_row(*_cells(score))
    console.print(table)
    size = (published.folder / MODEL_FILE).stat().st_size / 1e6
    console.print(f"served fit: {manifest.training.fitted}, calibrated on {manifest.training.calibrated}")
    console.print(
        f"data {dataset.fingerprint[:12]}, seed {manifest.training.seed}, graph {size:.1f} MB, "
        f"parity {published.parity.largest_difference:.1e} on {published.parity.rows:,} rows"
    )
    console.print(f"published {published.folder} ({manifest.digest[:12]}), alias production", soft_wrap=True)


def _cells(score: Score) -> tuple[str, ...]:
    figures = (score.log_loss, score.brier, score.ece, score.auc, score.accuracy)
    return (score.question, score.predictor, *("" if figure is None else f"{figure:.4f}" for figure in figures))
