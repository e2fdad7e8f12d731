"""`ondeck served`: scores of served predictions."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Final

import click
from rich.table import Table

from ondeck_core.model_name_normalization import canonical
from ondeck_core.served_scores import ECE, LOG_LOSS, PAGING
from ondeck_runtime.settings import read_settings
from ondeck_store.migrations import open_migrated
from ondeck_store.served_predictions.scores import StoredScore, read_scores
from ondeck_store.settings import StoreSettings
from ondeck_trainer.cli.render import make_console
from ondeck_trainer.served.score_days import describe_days, score_days
from ondeck_trainer.settings import TrainerSettings

_COLUMNS: Final = ("day", "rows", "games", "log loss", "ECE", "80 %", "90 %", "alarms")
_TEXT_COLUMNS: Final = {"day", "alarms"}
_HOME = click.option("--home", type=click.Path(path_type=Path), help="Folder of the embedded database (ONDECK_HOME).")
_DATABASE = click.option("--database-url", help="URL of a PostgreSQL database (ONDECK_DATABASE_URL).")
_MODELS = click.option(
    "--model-repository",
    type=click.Path(path_type=Path),
    help="Folder of the model repository (ONDECK_MODEL_REPOSITORY).",
)


@click.command()
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Day to score; default: every recorded day.")
@_MODELS
@_HOME
@_DATABASE
def score(day: datetime | None, **flags: object) -> None:
    """Compare the recorded predictions with the stored outcomes, and store the scores by day and version."""
    settings = read_settings(TrainerSettings, **flags)
    done = asyncio.run(score_days(settings, settings.model_repository, day.date() if day else None))
    for line in describe_days(done):
        click.echo(line)
    if not done:
        click.echo("no recorded predictions to score; see ONDECK_SERVED_SAMPLE_RATE")


@click.command()
@click.option("--model", help="Only this model.")
@click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="Days up to today.")
@click.option("--json", "as_data", is_flag=True, help="Print every stored score as JSON.")
@_HOME
@_DATABASE
def scores(model: str | None, days: int, *, as_data: bool, **flags: object) -> None:
    """Print the scores of served predictions by day and version, beside those at training, and the alarms."""
    since = datetime.now(UTC).date() - timedelta(days=days)
    name = None if model is None else canonical(model)
    found = asyncio.run(_read(read_settings(TrainerSettings, **flags), since, name))
    if as_data:
        click.echo(json.dumps([asdict(each) for each in found], default=str, indent=2))
        return
    if not found:
        click.echo("no scores; ondeck served score computes them")
    out = make_console()
    for (served, version), of_version in groupby(found, key=lambda each: (each.model, each.version)):
        rows = list(of_version)
        out.print(build_table(f"{served} {version}", rows))
        for line in describe_alarms(rows):
            out.print(line, soft_wrap=True)


async def _read(settings: StoreSettings, since: date, model: str | None) -> list[StoredScore]:
    async with open_migrated(settings) as database, database.engine.connect() as connection:
        return await read_scores(connection, since=since, model=model)


def build_table(title: str, rows: Sequence[StoredScore]) -> Table:
    """Build the table of a version: a line for its values at training, then one for each day."""
    table = Table(title=title, title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in _TEXT_COLUMNS else "right")
    newest = {(each.metric, each.subject): each for each in rows}
    table.add_row("training", "", "", *(_format(newest.get(key), at_training=True) for key in _shown(rows)), "")
    for day, of_day in groupby(rows, key=lambda each: each.day):
        by_key = {(each.metric, each.subject): each for each in of_day}
        sized = by_key.get((LOG_LOSS, ""))
        paging = [metric for metric in PAGING if (found := by_key.get((metric, ""))) and found.alarm]
        informing = sum(each.alarm and not each.pages for each in by_key.values())
        alarms = [*(f"PAGE {metric}" for metric in paging), *([f"{informing} to look at"] if informing else [])]
        counts = (f"{sized.rows:,}", str(sized.games)) if sized else ("0", "0")
        table.add_row(str(day), *counts, *(_format(by_key.get(key)) for key in _shown(rows)), ", ".join(alarms))
    return table


def _shown(rows: Sequence[StoredScore]) -> list[tuple[str, str]]:
    """List the metrics that have a column: log loss, ECE, and the two lowest coverages."""
    coverages = sorted({each.subject for each in rows if each.metric == "coverage"}, key=float)
    shown = [(LOG_LOSS, ""), (ECE, ""), *(("coverage", each) for each in coverages[:2])]
    return [*shown, *[("", "")] * (4 - len(shown))]


def _format(score: StoredScore | None, *, at_training: bool = False) -> str:
    value = None if score is None else score.at_training if at_training else score.value
    return "" if value is None else f"{value:.4f}"


def describe_alarms(rows: Sequence[StoredScore]) -> Iterator[str]:
    """Yield a line for each alarm of the newest day of its metric, with its value at training and the level."""
    newest: dict[str, date] = {}
    for each in rows:
        newest[each.metric] = max(each.day, newest.get(each.metric, each.day))
    for each in rows:
        if each.day == newest[each.metric] and each.alarm:
            kind = "page" if each.pages else "inform"
            before = "" if each.at_training is None else f", {each.at_training:.4f} at training"
            name = f"{each.metric} {each.subject}".rstrip()
            test = f"statistic {each.statistic:.4g} above {each.level:.4g}"
            yield f"{kind}: {each.day} {name} {each.value:.4f}{before} ({test})"
