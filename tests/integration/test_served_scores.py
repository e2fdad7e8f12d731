"""Scores of served predictions are those of the same rows computed offline, from a real server and PostgreSQL."""

import asyncio
import math
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sqlalchemy import text

from ondeck_client import Client, PitchColumns, PitchKeyColumns
from ondeck_core import scoring
from ondeck_core.drift_alarms import EVIDENCE_LEVEL, AlarmTest, accumulate_evidence
from ondeck_core.field_drift import field_drift
from ondeck_core.instances import PITCH, Matrix, valid_mask
from ondeck_core.scoring import Labels, Probabilities
from ondeck_core.served_scores import ServedScore
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.task_rows import build_instances, population
from ondeck_core.tasks import TASKS
from ondeck_store.database import Database, asyncpg_connection
from ondeck_store.pitches.upsert import upsert_pitches
from ondeck_store.served_predictions.scores import StoredScore, lock_scores, read_scores, replace_scores
from ondeck_store.served_predictions.writes import (
    ServedPrediction,
    partition_name,
    update_partitions,
    write_served,
)
from ondeck_store.settings import StoreSettings
from ondeck_trainer.artifact.published_model import open_version
from ondeck_trainer.served.score_days import score_days
from tests.factories.statcast_rows import sample_rows
from tests.fixtures.server import RunningServer, serving
from tests.integration.test_cli import ondeck
from tests.integration.test_served_predictions import outcomes_counted

TASK = TASKS["called_strike"]
DAY = date(2022, 9, 2)
EXACT = 1e-12
UNKEYED = 40


def columns_of(instances: Matrix) -> PitchColumns:
    """Return instances as columns; a category without a value is 0."""
    columns = {
        field.name: np.nan_to_num(column).astype(int).tolist() if field.codes else column.tolist()
        for field, column in zip(PITCH.fields, instances.T, strict=True)
    }
    return PitchColumns(**columns)


def wait_written(server: RunningServer, rows: int) -> None:
    end = time.monotonic() + 30
    while outcomes_counted(server).get("written", 0) < rows:
        assert time.monotonic() < end, outcomes_counted(server)
        time.sleep(0.1)


def serve_day(models: Path, home: Path, rows: pl.DataFrame, instances: Matrix) -> Probabilities:
    """Request predictions of a day, with keys and some without, and return the probabilities that were answered."""
    keys = PitchKeyColumns(**{name: rows[name].to_list() for name in ("game_pk", "at_bat_number", "pitch_number")})
    with serving(models, "--home", str(home), served_sample_rate=1) as server, Client(server.target) as client:
        for number in (1, 2):  # the second prediction of a pitch is the one that counts
            answer = client.batch_predict("called_strike", columns_of(instances), pitch_keys=keys, timeout=30)
            wait_written(server, number * len(instances))
        client.batch_predict("called_strike", columns_of(instances[:UNKEYED]))
        wait_written(server, 2 * len(instances) + UNKEYED)
    return np.array(answer.probabilities).reshape(-1, 2)


async def check_scores(database: Database, home: Path, models: Path, rows: pl.DataFrame) -> None:
    """Serve a day, score it, and compare each score with its value from the answers and the rows."""
    day = rows["game_date"][0]
    instances = build_instances(rows, PITCH)
    valid = valid_mask(PITCH, instances)
    rows, instances = rows.filter(pl.Series(valid)), instances[valid]
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, rows, simulated=False)
    probabilities = serve_day(models, home, rows, instances)
    today = datetime.now(UTC).date()
    done = await score_days(StoreSettings(home=home), models)
    assert {(each.day, each.scored > 0, each.unkeyed) for each in done} == {(day, True, 0), (today, False, UNKEYED)}
    async with database.engine.connect() as connection:
        stored = await read_scores(connection)
    taken = rows.select(population(TASK).alias("taken"))["taken"].to_numpy()
    labels = (rows["description"] == "called_strike").to_numpy()[taken].astype(np.int64)
    found = {(each.metric, each.subject): each for each in stored if each.day == day}
    assert found["log_loss", ""].rows == taken.sum() == sum(each.scored for each in done)
    assert found["log_loss", ""].games == rows.filter(pl.Series(taken))["game_pk"].n_unique()
    expected = offline_scores(models, probabilities[taken], labels, instances[taken])
    assert {key: found[key].value for key in expected} == pytest.approx(expected, abs=EXACT)
    unkeyed = {each.subject: each.value for each in stored if each.day == today}
    assert unkeyed == pytest.approx(offline_drift(models, instances[:UNKEYED]), abs=EXACT)


def offline_scores(
    models: Path, probabilities: Probabilities, labels: Labels, instances: Matrix
) -> dict[tuple[str, str], float]:
    sets = open_version(models, TASK).manifest.prediction_sets
    observed = np.where(labels == 1, probabilities[:, 1], probabilities[:, 0])
    scores = {
        ("log_loss", ""): -sum(map(math.log, observed.clip(1e-6, 1).tolist())) / len(labels),
        ("ece", ""): scoring.calibration_error(probabilities, labels),
        ("brier", ""): float(
            ((probabilities[:, 1] - labels) ** 2 + (probabilities[:, 0] - 1 + labels) ** 2).mean() / 2
        ),
        ("base_rate", "called_strike"): float(labels.mean()),
    }
    for each in sets:
        limits = np.array(each.thresholds, dtype=np.float32)[labels]
        scores["coverage", f"{each.coverage:g}"] = float((observed.astype(np.float32) >= limits).mean())
    return scores | {("input_drift", name): value for name, value in offline_drift(models, instances).items()}


def offline_drift(models: Path, instances: Matrix) -> dict[str, float]:
    profile = open_version(models, TASK).profile
    return {each.field: each.index for each in field_drift(profile, PITCH, instances)}


async def test_scores_of_generated_rows_are_those_computed_offline(
    database: Database, store_home: Path, small_repository: Path
) -> None:
    await check_scores(database, store_home, small_repository, sample_rows(DAY, days=1, games=6, seed=3))
    done = ondeck("served", "scores", "--days", "3650", "--home", str(store_home))
    assert done.returncode == 0, done.stderr
    assert "called_strike 1" in done.stdout
    assert str(DAY) in done.stdout


@pytest.mark.realdata
async def test_scores_of_a_real_day_are_those_computed_offline(
    database: Database, store_home: Path, real_data: Path, root: Path
) -> None:
    cells = pl.read_parquet(real_data / "statcast" / "statcast_2024-06.parquet")
    rows = parse_cells(cells.filter(pl.col("game_date") == "2024-06-26")).rows.filter(pl.col("game_type") == "R")
    await check_scores(database, store_home, root / "onnx_models", rows)


async def test_a_version_that_the_repository_lacks_is_skipped(
    database: Database, store_home: Path, tmp_path: Path
) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(
            text(
                "CREATE TABLE IF NOT EXISTS served_predictions_20200101 PARTITION OF served_predictions "
                "FOR VALUES FROM ('2020-01-01Z') TO ('2020-01-02Z')"
            )
        )
        await connection.execute(
            text("INSERT INTO served_predictions VALUES ('2020-01-01 12:00Z', 'whiff', 9, '', 'c', '', '', 0, '{}')")
        )
    assert await score_days(StoreSettings(home=store_home), tmp_path) == []


def paging_score(p_value: float | None) -> ServedScore:
    return ServedScore(metric="log_loss", value=0.2, rows=9, games=9, p_value=p_value)


async def stored_evidence(database: Database) -> Sequence[StoredScore]:
    async with database.engine.connect() as connection:
        return [each for each in await read_scores(connection) if each.pages]


async def test_evidence_of_later_days_changes_when_a_day_is_scored_again(database: Database) -> None:
    days = [DAY + timedelta(days=number) for number in range(4)]
    p_values = [0.01, 0.2, 1e-6, None]
    informing = ServedScore(
        metric="coverage", subject="0.8", value=0.5, rows=9, games=9, test=AlarmTest(statistic=9.0, level=5.0)
    )
    async with database.engine.begin() as connection:
        for day, p_value in zip(days, p_values, strict=True):
            await replace_scores(connection, day, "whiff", 1, [paging_score(p_value), informing])
    found = await stored_evidence(database)
    assert [each.statistic for each in found] == pytest.approx(list(accumulate_evidence(p_values)))
    assert [each.alarm for each in found] == [each >= EVIDENCE_LEVEL for each in accumulate_evidence(p_values)]
    p_values[0] = 1e-9
    async with database.engine.begin() as connection:
        await replace_scores(connection, days[0], "whiff", 1, [paging_score(p_values[0])])
    found = await stored_evidence(database)
    assert [each.statistic for each in found] == pytest.approx(list(accumulate_evidence(p_values)))
    assert found[-1].alarm
    async with database.engine.connect() as connection:
        assert [each.alarm for each in await read_scores(connection, model="whiff") if not each.pages] == [True] * 3


async def write_predictions(database: Database, models: Path, rows: pl.DataFrame, served_at: datetime) -> None:
    """Store predictions of the pitches of some rows, as a server does."""
    manifest, instances = open_version(models, TASK).manifest, build_instances(rows, PITCH)
    keys = rows.select("game_pk", "at_bat_number", "pitch_number").rows()
    predictions = [
        ServedPrediction(
            served_at=served_at,
            model=TASK.name,
            version=manifest.version,
            digest=bytes.fromhex(manifest.digest),
            correlation_id="c",
            instance=instance.astype("<f4").tobytes(),
            probabilities=np.array([0.7, 0.3], dtype="<f4").tobytes(),
            ensemble_spread=0.0,
            prediction_sets=[3] * len(manifest.prediction_sets),
            game_pk=key[0],
            at_bat_number=key[1],
            pitch_number=key[2],
        )
        for instance, key in zip(instances, keys, strict=True)
    ]
    async with database.engine.connect() as opened:
        await opened.execution_options(isolation_level="AUTOCOMMIT")
        connection = await asyncpg_connection(opened)
        await update_partitions(connection, served_at.date(), retention_days=3650)
        await write_served(connection, predictions)


async def test_a_day_keeps_its_scores_when_the_retention_drops_a_part_of_its_predictions(
    database: Database, store_home: Path, small_repository: Path
) -> None:
    rows = sample_rows(DAY, days=1, games=6, seed=3)
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, rows, simulated=False)
    evening = datetime(DAY.year, DAY.month, DAY.day, 23, 30, tzinfo=UTC)
    half = len(rows) // 2
    await write_predictions(database, small_repository, rows[:half], evening)
    await write_predictions(database, small_repository, rows[half:], evening + timedelta(hours=1))
    settings = StoreSettings(home=store_home)
    (done,) = await score_days(settings, small_repository)
    async with database.engine.begin() as connection:
        before = await read_scores(connection)
        await connection.execute(text(f"DROP TABLE {partition_name(DAY)}"))
    assert await score_days(settings, small_repository) == []
    async with database.engine.connect() as connection:
        assert await read_scores(connection) == before
    assert {each.rows for each in before} == {done.scored}


async def test_of_two_programs_that_score_at_once_the_last_has_the_newest_outcomes(
    database: Database, store_home: Path, small_repository: Path
) -> None:
    rows = sample_rows(DAY, days=1, games=6, seed=3)
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, rows, simulated=False)
    await write_predictions(database, small_repository, rows, datetime(DAY.year, DAY.month, DAY.day, 20, tzinfo=UTC))
    async with database.engine.begin() as other:
        await lock_scores(other)
        scoring = asyncio.create_task(score_days(StoreSettings(home=store_home), small_repository))
        waiting = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        async with asyncio.timeout(30):
            while not (await other.execute(waiting)).scalar_one():  # noqa: ASYNC110  a lock of PostgreSQL sets no event
                await asyncio.sleep(0.1)
        await other.execute(text("UPDATE pitches SET description = 'called_strike' WHERE description = 'ball'"))
    assert len(await scoring) == 1
    async with database.engine.connect() as connection:
        stored = {(each.metric, each.subject): each.value for each in await read_scores(connection)}
    assert stored["base_rate", "called_strike"] == 1
