"""`ondeck train`."""

import asyncio
from datetime import datetime
from pathlib import Path

import click
import structlog

from ondeck_core.manifest import MODEL_FILE
from ondeck_core.tasks import task_named
from ondeck_runtime.settings import read_settings
from ondeck_trainer.artifact.publish import PublishedVersion
from ondeck_trainer.cli.render import build_score_table, log_account, make_console
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.data.source import read_stored_dataset
from ondeck_trainer.model.ensemble import ParallelFit
from ondeck_trainer.pipeline import TrainingPlan
from ondeck_trainer.pipeline import train as run
from ondeck_trainer.run_metrics import run_metrics
from ondeck_trainer.settings import TrainerSettings

log = structlog.get_logger()


@click.command()
@click.argument("task")
@click.option("--home", type=click.Path(path_type=Path), help="Folder of the embedded database (ONDECK_HOME).")
@click.option("--database-url", help="URL of a PostgreSQL database (ONDECK_DATABASE_URL).")
@click.option(
    "--model-repository",
    type=click.Path(path_type=Path),
    help="Folder of the model repository (ONDECK_MODEL_REPOSITORY).",
)
@click.option("--seed", type=int, help="Random seed (ONDECK_SEED).")
@click.option(
    "--training-workers",
    type=int,
    help="Processes that fit ensemble members, one thread each (ONDECK_TRAINING_WORKERS).",
)
@click.option(
    "--dask-scheduler",
    metavar="ADDRESS",
    help="Dask scheduler whose workers fit instead, as tcp://HOST:PORT (ONDECK_DASK_SCHEDULER).",
)
@click.option(
    "--eval-from",
    type=click.DateTime(["%Y-%m-%d"]),
    help="First day of the evaluation window; default: the last full month.",
)
@click.option("--force", is_flag=True, help="Override the promotion gate.")
def train(task: str, eval_from: datetime | None, *, force: bool, **flags: object) -> None:
    """Fit, evaluate and publish a model of TASK from the stored regular-season rows.

    Exit code 1: the model is not better than the version in production, or its graph fails the parity check; nothing
    is published.
    """
    chosen = task_named(task)
    settings = read_settings(TrainerSettings, **flags)
    plan = TrainingPlan(
        models=settings.model_repository,
        seed=settings.seed,
        eval_from=None if eval_from is None else eval_from.date(),
        force=force,
        workers=ParallelFit(jobs=settings.training_workers, dask=settings.dask_scheduler),
    )
    with run_metrics(settings.train_metrics_folder, chosen.name) as rows:
        click.echo(f"{chosen.name}: reading rows", err=True)
        dataset = asyncio.run(read_stored_dataset(settings, chosen))
        rows.set(len(dataset.labels))
        click.echo(f"{chosen.name}: {dataset.account}", err=True)
        log_account(chosen.name, dataset.account)
        published = run(dataset, plan, lambda line: click.echo(f"{chosen.name}: {line}", err=True))
    manifest = published.manifest
    log.info("version_published", model=manifest.model, version=manifest.version, digest=manifest.digest)
    _print_summary(published, dataset)


def _print_summary(published: PublishedVersion, dataset: Dataset) -> None:
    evaluation, manifest = published.evaluation, published.manifest
    out = make_console()
    out.print(build_score_table(evaluation))
    size = (published.folder / MODEL_FILE).stat().st_size / 1e6
    out.print(f"serving fit: {manifest.training.fit_window}, calibrated on {manifest.training.calibration_window}")
    out.print(
        f"data {dataset.fingerprint[:12]}, seed {manifest.training.seed}, graph {size:.1f} MB, "
        f"parity {published.parity.largest_difference:.1e} on {published.parity.rows:,} rows"
    )
    out.print(f"published {published.folder} ({manifest.digest[:12]}), alias production", soft_wrap=True)
