"""`ondeck evaluate` and `ondeck recalibrate`."""

import asyncio
from datetime import date, datetime
from pathlib import Path

import click
import polars as pl

from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import CARD_FILE, EVALUATION_FILE, PRODUCTION, RELIABILITY_FILE
from ondeck_core.statcast.leagues import LEAGUES, MAJOR, MAJOR_REGULAR_SEASON, SELECTIONS, GameSelection
from ondeck_core.tasks import Task, task_named
from ondeck_registry import promotion
from ondeck_registry.repository import aliases
from ondeck_runtime.settings import read_settings
from ondeck_trainer.artifact.model_card import plot_reliability, render_drift, render_metrics
from ondeck_trainer.artifact.publish import to_json
from ondeck_trainer.artifact.published_model import PublishedModel, open_version
from ondeck_trainer.cli.render import log_account, print_evaluation
from ondeck_trainer.data.dataset import build_dataset
from ondeck_trainer.data.source import SourceRows, read_statcast_files, read_stored_rows
from ondeck_trainer.evaluation.published_versions import evaluate_version, exclude_training_days
from ondeck_trainer.recalibrate import recalibrate as recalibrate_version
from ondeck_trainer.settings import TrainerSettings

_PATHS = click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
_DAY = click.DateTime(["%Y-%m-%d"])
_VERSION = click.option("--version", type=click.IntRange(1), help="Version; default: the one in production.")
_MODELS = click.option(
    "--model-repository",
    type=click.Path(path_type=Path),
    help="Folder of the model repository (ONDECK_MODEL_REPOSITORY).",
)
_HOME = click.option("--home", type=click.Path(path_type=Path), help="Folder of the embedded database (ONDECK_HOME).")
_DATABASE = click.option("--database-url", help="URL of a PostgreSQL database (ONDECK_DATABASE_URL).")


@click.command()
@click.argument("task")
@_PATHS
@_VERSION
@click.option("--since", type=_DAY, help="First day of the evaluation.")
@click.option("--until", type=_DAY, help="Last day of the evaluation.")
@click.option(
    "--include-fitted", is_flag=True, help="Include training days; the report marks the metrics as optimistic."
)
@click.option(
    "--league",
    type=click.Choice(LEAGUES),
    default=MAJOR,
    show_default=True,
    help="League of the rows, by the codes of the teams; a version is trained on the major leagues only.",
)
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
    league: str,
    as_data: bool,
    **flags: object,
) -> None:
    """Evaluate a published version of TASK through its graph, on files (PATH...) or on the stored rows.

    Files are Statcast exports of any season; they need no database. Only regular-season rows of the league count (of
    international games all), and no days that the version was fitted or calibrated on.
    """
    settings, chosen = read_settings(TrainerSettings, **flags), task_named(task)
    model = open_version(settings.model_repository, chosen, version)
    source = _between(_rows(settings, chosen, paths, SELECTIONS[league]), since, until)
    source = exclude_training_days(source, model.manifest, include_fitted=include_fitted)
    evaluation = evaluate_version(model, source, production=_production(settings.model_repository, model))
    log_account(chosen.name, evaluation.account)
    folder = out or _report_folder(settings.home, evaluation)
    _write(folder, evaluation)
    if as_data:
        click.echo(to_json(evaluation).decode(), nl=False)
    else:
        print_evaluation(evaluation)
        click.echo(f"written to {folder}")


@click.command()
@click.argument("task")
@_PATHS
@click.option("--since", type=_DAY, required=True, help="First recent day.")
@click.option("--until", type=_DAY, help="Last recent day; default: the newest one.")
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
    """Fit the calibration of a version of TASK on recent rows, and publish the result as a new version.

    The members stay the same. The earlier half of the rows calibrates, the later half evaluates: the promotion gate
    compares that evaluation with the version in production on the same rows. No alias changes.
    """
    settings, chosen = read_settings(TrainerSettings, **flags), task_named(task)
    base = open_version(settings.model_repository, chosen, version)
    source = _between(_rows(settings, chosen, paths, MAJOR_REGULAR_SEASON), since, until)
    recent = build_dataset(chosen, source.rows, source.account)
    log_account(chosen.name, recent.account)
    done = recalibrate_version(base, recent, settings.model_repository)
    parameters = ", ".join(f"{value:.3f}" for value in (*done.calibration.scale, *done.calibration.bias))
    click.echo(f"calibrated on {done.manifest.training.calibration_window}: scale and bias {parameters}")
    print_evaluation(done.evaluation)
    verdict = promotion.gate(settings.model_repository, chosen.name, PRODUCTION, done.manifest.version)
    click.echo(f"gate: {'passed' if verdict.passed else 'failed'}: {verdict.reason}")
    click.echo(f"published {done.folder} ({done.manifest.digest[:12]}); no alias points to it yet")


def _rows(settings: TrainerSettings, task: Task, paths: tuple[Path, ...], games: GameSelection) -> SourceRows:
    return read_statcast_files(paths, task, games) if paths else asyncio.run(read_stored_rows(settings, task, games))


def _between(source: SourceRows, since: datetime | None, until: datetime | None) -> SourceRows:
    first = since.date() if since else date.min
    last = until.date() if until else date.max
    return source.keep(
        source.rows.filter(pl.col("game_date").is_between(first, last)), "of days that were not asked for"
    )


def _production(models: Path, model: PublishedModel) -> PublishedModel | None:
    number = aliases(models, model.task.name).get(PRODUCTION)
    return None if number in (None, model.manifest.version) else open_version(models, model.task, number)


def _report_folder(home: Path, evaluation: Evaluation) -> Path:
    days = f"{evaluation.evaluation_window.first_day}_{evaluation.evaluation_window.last_day}"
    league = "" if evaluation.league == MAJOR else f"_{evaluation.league}"
    return home / "evaluations" / evaluation.task / str(evaluation.version) / f"{days}{league}"


def _write(folder: Path, evaluation: Evaluation) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    title = f"{evaluation.task} {evaluation.version}, evaluated on {evaluation.described_window}"
    (folder / EVALUATION_FILE).write_bytes(to_json(evaluation))
    (folder / RELIABILITY_FILE).write_bytes(plot_reliability(evaluation.reliability, title))
    (folder / CARD_FILE).write_text(f"# {title}\n\n{render_metrics(evaluation)}{render_drift(evaluation)}")
