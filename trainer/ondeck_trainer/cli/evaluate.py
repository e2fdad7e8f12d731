"""`ondeck evaluate` and `ondeck recalibrate`."""

import asyncio
from datetime import date, datetime
from pathlib import Path

import click
import polars as pl

from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import CARD_FILE, EVALUATION_FILE, PRODUCTION, RELIABILITY_FILE
from ondeck_core.tasks import Task, task_named
from ondeck_registry.repository import aliases
from ondeck_runtime.settings import read_settings
from ondeck_trainer.artifact import model_card
from ondeck_trainer.artifact.plots import reliability_curves
from ondeck_trainer.artifact.publish import as_json
from ondeck_trainer.artifact.published_model import PublishedModel, open_version
from ondeck_trainer.cli.render import print_evaluation
from ondeck_trainer.data.dataset import dataset_of
from ondeck_trainer.data.source import rows_of_files, stored_rows
from ondeck_trainer.evaluation import compare
from ondeck_trainer.recalibrate import recalibrate as run_recalibration
from ondeck_trainer.settings import TrainerSettings

_PATHS = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
_DAY = click.DateTime(["%Y-%m-%d"])
_VERSION = click.option("--version", type=click.IntRange(1), help="Default: the one in production.")
_MODELS = click.option(
    "--model-repository", type=click.Path(path_type=Path), help="The model repository (ONDECK_MODEL_REPOSITORY)."
)
_HOME = click.option("--home", type=click.Path(path_type=Path), help="Folder of the embedded database (ONDECK_HOME).")
_DATABASE = click.option("--database-url", help="A PostgreSQL server (ONDECK_DATABASE_URL).")


@click.command()
@click.argument("task")
@_PATHS
@_VERSION
@click.option("--since", type=_DAY, help="First day judged.")
@click.option("--until", type=_DAY, help="Last day judged.")
@click.option("--include-fitted", is_flag=True, help="Judge days that it was fitted on, too; they are flagged.")
@click.option("--json", "as_data", is_flag=True, help="Print the evaluation as JSON.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the report; default: under ONDECK_HOME.")
@_MODELS
@_HOME
@_DATABASE
def evaluate(  # noqa: PLR0913  each is an option of the command
    task: str,
    paths: tuple[Path, ...],
    version: int | None,
    *,
    since: datetime | None,
    until: datetime | None,
    out: Path | None,
    include_fitted: bool,
    as_data: bool,
    **flags: object,
) -> None:
    """Judge a published version of TASK through its served graph, on files (PATH...) or on the stored rows.

    Files are Statcast exports as they are, of any season; no database is needed for them. Regular-season rows alone
    are judged, and none of days that the version was fitted on.
    """
    settings, chosen = read_settings(TrainerSettings, **flags), task_named(task)
    served = open_version(settings.model_repository, chosen, version)
    rows = _between(_rows(settings, chosen, paths), since, until)
    rows = compare.unseen(rows, served.manifest, fitted_too=include_fitted)
    judged = compare.judge(served, rows, beside=_serving(settings.model_repository, served))
    folder = out or _report_folder(settings.home, judged)
    _write(folder, judged)
    if as_data:
        click.echo(as_json(judged).decode(), nl=False)
    else:
        print_evaluation(judged)
        click.echo(f"written to {folder}")


@click.command()
@click.argument("task")
@_PATHS
@click.option("--since", type=_DAY, required=True, help="First of the recent days to calibrate on.")
@click.option("--until", type=_DAY, help="Last of them; default: the newest there is.")
@_VERSION
@_MODELS
@_HOME
@_DATABASE
def recalibrate(
    task: str,
    paths: tuple[Path, ...],
    since: datetime,
    until: datetime | None,
    version: int | None,
    **flags: object,
) -> None:
    """Fit the last layer of a version of TASK anew on recent rows, and publish that as a version of its own.

    Its members stay as they are. No alias moves: compare it on days that follow, then promote it.
    """
    settings, chosen = read_settings(TrainerSettings, **flags), task_named(task)
    served = open_version(settings.model_repository, chosen, version)
    recent = dataset_of(chosen, _between(_rows(settings, chosen, paths), since, until))
    done = run_recalibration(served, recent, settings.model_repository)
    told = ", ".join(f"{value:.3f}" for value in (*done.calibration.scale, *done.calibration.bias))
    click.echo(
        f"calibrated on {len(recent):,} rows, {done.manifest.training.calibration_window}: scale and bias {told}"
    )
    click.echo(f"published {done.folder} ({done.manifest.digest[:12]}); no alias points to it yet")


def _rows(settings: TrainerSettings, task: Task, paths: tuple[Path, ...]) -> pl.DataFrame:
    return rows_of_files(paths, task) if paths else asyncio.run(stored_rows(settings, task))


def _between(rows: pl.DataFrame, since: datetime | None, until: datetime | None) -> pl.DataFrame:
    first = since.date() if since else date.min
    last = until.date() if until else date.max
    return rows.filter(pl.col("game_date").is_between(first, last))


def _serving(models: Path, served: PublishedModel) -> PublishedModel | None:
    number = aliases(models, served.task.name).get(PRODUCTION)
    return None if number in (None, served.manifest.version) else open_version(models, served.task, number)


def _report_folder(home: Path, judged: Evaluation) -> Path:
    days = f"{judged.evaluation_window.first_day}_{judged.evaluation_window.last_day}"
    return home / "evaluations" / judged.task / str(judged.version) / days


def _write(folder: Path, judged: Evaluation) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{judged.task} {judged.version}, judged on {judged.evaluation_window}"
    (folder / EVALUATION_FILE).write_bytes(as_json(judged))
    (folder / RELIABILITY_FILE).write_bytes(reliability_curves(judged.reliability, title))
    (folder / CARD_FILE).write_text(f"# {title}\n\n{model_card.judgement(judged)}{model_card.shifted(judged)}")
