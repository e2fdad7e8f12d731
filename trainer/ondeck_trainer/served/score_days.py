"""Scoring of served predictions: join them with outcomes, score them by day and version, and store the scores."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import OndeckError
from ondeck_core.evaluation import Evaluation
from ondeck_core.instances import InstanceType, Matrix
from ondeck_core.manifest import EVALUATION_FILE, PROFILE_FILE, Profile
from ondeck_core.scoring import Probabilities
from ondeck_core.served_scores import ScoredRows, ServedScore, TrainingRecord, score_day
from ondeck_core.task_rows import has_unknown_outcome, label, label_columns, population
from ondeck_core.tasks import Task, task_named
from ondeck_registry.repository import read_files, read_manifest
from ondeck_store.database import Database
from ondeck_store.migrations import open_migrated
from ondeck_store.served_predictions.reads import (
    PredictionsWithOutcomes,
    ServedVersion,
    days_with_predictions,
    is_retained,
    read_unkeyed_instances,
    read_with_outcomes,
    versions_of_day,
)
from ondeck_store.served_predictions.scores import lock_scores, read_scored_rows, replace_scores
from ondeck_store.settings import StoreSettings

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ScoredDay:
    """How many predictions of a version were scored on a day: with an outcome, and without a pitch."""

    day: date
    model: str
    version: int
    scored: int
    unkeyed: int


async def score_days(settings: StoreSettings, models: Path, day: date | None = None) -> list[ScoredDay]:
    """Score one day, or every day with recorded predictions; a day that was scored before is scored again.

    A day keeps its former scores if the retention has dropped predictions of it. A day of a version is one transaction.
    """
    records: dict[ServedVersion, TrainingRecord | None] = {}
    done = []
    async with open_migrated(settings) as database:
        for each, served in await _list_served(database, day):
            if served not in records:
                records[served] = _read_record(models, served)
            record = records[served]
            if record is not None:
                async with database.engine.begin() as connection:
                    scored = await _score_version(connection, each, served, record)
                done += [scored] if scored is not None else []
    return done


async def _list_served(database: Database, day: date | None) -> list[tuple[date, ServedVersion]]:
    async with database.engine.connect() as connection:
        days = [day] if day else await days_with_predictions(connection)
        return [(each, served) for each in days for served in await versions_of_day(connection, each)]


def _read_record(models: Path, served: ServedVersion) -> TrainingRecord | None:
    """Read what is known of a version at its training; None, with a line in the log: it is not in the repository."""
    try:
        return read_training_record(models, served.model, served.version, served.digest.hex())
    except OndeckError as missing:
        log.warning(
            "served_version_skipped",
            detail="predictions of this version are not scored",
            model=served.model,
            version=served.version,
            reason=str(missing),
        )
        return None


class DifferentGraphError(OndeckError):
    """The repository has the version with another graph than the one that served."""


def read_training_record(models: Path, model: str, version: int, digest: str) -> TrainingRecord:
    """Read manifest, evaluation and field distributions of a version.

    Raises:
        ArtifactRefusedError: it is missing, or a file is not what was published.
        DifferentGraphError: its graph has another digest.
    """
    folder = models / model / str(version)
    manifest = read_manifest(folder, model, version)
    if manifest.digest != digest:
        raise DifferentGraphError(f"{folder} has the graph {manifest.digest[:12]}, {digest[:12]} has served")
    files = read_files(folder, manifest)
    return TrainingRecord(
        task=task_named(manifest.task),
        manifest=manifest,
        evaluation=Evaluation.model_validate_json(files[EVALUATION_FILE]),
        profile=Profile.model_validate_json(files[PROFILE_FILE]),
    )


async def _score_version(
    connection: AsyncConnection, day: date, served: ServedVersion, record: TrainingRecord
) -> ScoredDay | None:
    """Score a day of a version; None: it keeps its scores, which are of predictions that have been dropped since.

    The evening games of a day are served on two days (UTC), the first of which is dropped before the second.
    """
    await lock_scores(connection)  # before the rows are read: the last to store has the newest outcomes
    scored, unkeyed = await read_day_rows(connection, day, served, record)
    before = await read_scored_rows(connection, day, served.model, served.version)
    is_less = len(scored) < before[0] or len(unkeyed) < before[1]
    if is_less and not await is_retained(connection, day):
        log.info("served_scores_kept", day=str(day), model=served.model, version=served.version)
        return None
    scores: list[ServedScore] = score_day(record, scored, unkeyed)
    await replace_scores(connection, day, served.model, served.version, scores)
    return ScoredDay(day=day, model=served.model, version=served.version, scored=len(scored), unkeyed=len(unkeyed))


async def read_day_rows(
    connection: AsyncConnection, day: date, served: ServedVersion, record: TrainingRecord
) -> tuple[ScoredRows, Matrix]:
    """Read the predictions of a day whose pitches belong to the task, and the instances without a pitch."""
    found = await read_with_outcomes(connection, day, served, sorted(label_columns(record.task)))
    unkeyed = await read_unkeyed_instances(connection, day, served)
    scored = _scored_rows(found, record.task, len(record.manifest.prediction_sets))
    return scored, _instances(unkeyed, record.task.instance)


def _scored_rows(found: PredictionsWithOutcomes, task: Task, coverages: int) -> ScoredRows:
    """Convert the predictions whose pitch is of the population of the task: a swing says nothing of a called strike."""
    belongs = (population(task) & ~has_unknown_outcome(task)).fill_null(value=False)
    chosen = found.rows.select(belongs.arg_true().alias("row"))["row"].to_list()
    sets = np.array([found.prediction_sets[row] for row in chosen], dtype=np.int64)
    return ScoredRows(
        instances=_instances([found.instances[row] for row in chosen], task.instance),
        probabilities=_probabilities([found.probabilities[row] for row in chosen], len(task.outcomes)),
        prediction_sets=sets.reshape(len(chosen), coverages),
        labels=found.rows[chosen].select(label(task).alias("label"))["label"].to_numpy(),
        games=np.array([found.games[row] for row in chosen], dtype=np.int64),
    )


def _instances(stored: Sequence[bytes], instance: InstanceType) -> Matrix:
    values: Matrix = np.frombuffer(b"".join(stored), dtype="<f4").reshape(-1, len(instance.fields))
    return values


def _probabilities(stored: Sequence[bytes], outcomes: int) -> Probabilities:
    return np.frombuffer(b"".join(stored), dtype="<f4").astype(np.float64).reshape(-1, outcomes)


def describe_days(done: Sequence[ScoredDay]) -> Iterator[str]:
    """Yield a line for each day and version that was scored."""
    for each in done:
        unkeyed = f", {each.unkeyed:,} without a pitch" if each.unkeyed else ""
        yield f"{each.day} {each.model} {each.version}: {each.scored:,} predictions scored{unkeyed}"
