"""Training reads the rows and columns of its task, and copies features neither for workers nor to wider types."""

import re
import tracemalloc
from datetime import date
from operator import attrgetter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.instances import Matrix
from ondeck_core.manifest import Window
from ondeck_core.task_rows import population
from ondeck_core.tasks import TASKS
from ondeck_ingest.pipeline.load import as_simulated
from ondeck_store.database import Database
from ondeck_store.pitches.upsert import upsert_pitches
from ondeck_store.settings import StoreSettings
from ondeck_trainer.data.dataset import PIECE_ROWS, Labels, build_dataset, convert_rows, list_columns, unknown_outcome
from ondeck_trainer.data.source import read_stored_dataset, read_stored_rows
from ondeck_trainer.model.ensemble import ParallelFit
from ondeck_trainer.model.learners import BoostingSpec, NeuralSpec, fit_preprocessor, release_pages
from tests.factories.statcast_rows import sample_rows

ORDER = ("game_date", "game_pk", "at_bat_number", "pitch_number")
DAYS = 40  # from the end of one month over a whole month to the begin of a third
BOOSTING = BoostingSpec(n_iterations=1, max_leaves=4, learning_rate=0.3, seed=3)
COPIES = text(
    "SELECT query, rows FROM pg_stat_statements WHERE query LIKE '%COPY%TO STDOUT%' AND query LIKE '%pitches%'"
)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    """Return regular-season rows, some of them of no task."""
    played = sample_rows(date(2022, 5, 27), days=DAYS, games=1).sort(ORDER)
    is_pitchout = pl.int_range(pl.len()) % 50 == 0
    return played.with_columns(
        pl.when(is_pitchout).then(pl.lit("pitchout")).otherwise("description").alias("description")
    )


async def store(database: Database, rows: pl.DataFrame) -> None:
    """Store regular-season rows, beside spring games and simulated ones."""
    spring = sample_rows(date(2022, 3, 1), days=2, games=1, seed=8).with_columns(game_type=pl.lit("S"))
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, pl.concat([spring, rows]), simulated=False)
        await upsert_pitches(connection, as_simulated(rows.head(500)), simulated=True)
        await connection.execute(text("SELECT pg_stat_statements_reset()"))


async def copied(connection: AsyncConnection) -> tuple[set[tuple[str, ...]], int]:
    """Return the columns of the COPY statements that PostgreSQL ran, and the number of their rows."""
    found = (await connection.execute(COPIES)).all()
    columns = {tuple(re.split(r",\s*", re.search(r"SELECT\s+(.*?)\s+FROM", query, re.DOTALL)[1])) for query, _ in found}  # type: ignore[index]
    return columns, sum(count for _, count in found)


@pytest.mark.parametrize("name", TASKS)
async def test_only_the_rows_and_columns_of_the_task_leave_the_database(
    name: str, database: Database, store_home: Path, rows: pl.DataFrame
) -> None:
    await store(database, rows)
    task = TASKS[name]
    dataset = await read_stored_dataset(StoreSettings(home=store_home), task)
    async with database.engine.connect() as connection:
        columns, count = await copied(connection)
    assert columns == {list_columns(task)}
    assert count == rows.filter(population(task)).height < rows.height
    expected = build_dataset(task, rows)
    assert dataset.account == expected.account
    assert (dataset.fingerprint, dataset.labels.tolist()) == (expected.fingerprint, expected.labels.tolist())
    assert dataset.rows.equals(expected.rows, null_equal=True)
    assert set(dataset.rows.columns) < set(list_columns(task))


async def test_evaluation_reads_the_same_rows_and_accounts_for_the_others(
    database: Database, store_home: Path, rows: pl.DataFrame
) -> None:
    await store(database, rows)
    task = TASKS["whiff"]
    source = await read_stored_rows(StoreSettings(home=store_home), task)
    of_task = rows.filter(population(task))
    assert source.rows.equals(of_task.select(list_columns(task)), null_equal=True)
    assert (source.account.read, source.account.used) == (rows.height, of_task.height)
    assert build_dataset(task, source.rows, source.account).account == build_dataset(task, rows).account


@pytest.mark.parametrize("name", TASKS)
async def test_stored_rows_of_an_unknown_outcome_have_their_own_reason(
    name: str, database: Database, store_home: Path, rows: pl.DataFrame
) -> None:
    task, settings = TASKS[name], StoreSettings(home=store_home)
    column, is_new = task.outcome_column, pl.int_range(pl.len()) % 100 == 1
    coded = rows.with_columns(pl.when(is_new).then(pl.lit("New - Code")).otherwise(column).alias(column))
    await store(database, coded)
    expected = build_dataset(task, coded).account
    assert expected.left_out[unknown_outcome(task)] == coded.filter(is_new).height > 0
    assert (await read_stored_dataset(settings, task)).account == expected
    source = await read_stored_rows(settings, task)
    assert build_dataset(task, source.rows, source.account).account == expected


def test_the_windows_of_a_run_are_views_of_the_dataset(rows: pl.DataFrame) -> None:
    dataset = build_dataset(TASKS["pitch_outcome"], rows)
    june = Window(first_day=date(2022, 6, 1), last_day=date(2022, 6, 30))
    chosen = dataset.between(june)
    assert np.shares_memory(chosen.instances, dataset.instances)
    assert set(chosen.rows["game_date"]) == {day for day in rows["game_date"] if day.month == june.first_day.month}
    shuffled = convert_rows(dataset.task, rows.sample(fraction=1, shuffle=True, seed=1)).between(june)
    assert sorted(map(bytes, shuffled.instances)) == sorted(map(bytes, chosen.instances))


def test_workers_map_one_file_of_features_that_is_gone_afterwards() -> None:
    workers = ParallelFit(jobs=2)
    with workers.allocate((40, 3)) as matrix:
        files = workers.run([(attrgetter("filename"), (matrix,))] * 2, names=["a", "b"], report=lambda _: None)
        file = Path(matrix.filename)  # type: ignore[attr-defined]
        assert set(map(Path, files)) == {file}
    assert not file.parent.exists()


def test_released_pages_are_read_again_from_the_file() -> None:
    with ParallelFit(jobs=2).allocate((3, 2)) as matrix:
        matrix[:] = 7
        release_pages(matrix)
        assert matrix.tolist() == [[7, 7]] * 3


def draw_features(rows: int, columns: int) -> tuple[Matrix, Labels]:
    """Draw features, the last without any value and a tenth of the others missing, and labels of three outcomes."""
    draw = np.random.default_rng(4)
    features = draw.normal(size=(rows, columns)).astype(np.float32)
    labels = (features[:, 0] > 0).astype(np.int64) + (features[:, 1] > 1)
    features[draw.random((rows, columns)) < 0.1] = np.nan
    features[:, -1] = np.nan
    return features, labels


@pytest.mark.parametrize("rows", [5_000, 250_000], ids=["all rows binned", "bins of a sample"])
def test_boosting_in_pieces_equals_that_of_scikit_learn(rows: int) -> None:
    features, labels = draw_features(rows, 5)
    fitted = BOOSTING.fit(features, fit_preprocessor(features), labels).model
    reference = HistGradientBoostingClassifier(
        max_iter=BOOSTING.n_iterations,
        max_leaf_nodes=BOOSTING.max_leaves,
        learning_rate=BOOSTING.learning_rate,
        max_features=BOOSTING.feature_fraction,
        min_samples_leaf=BOOSTING.min_leaf_rows,
        l2_regularization=BOOSTING.l2,
        early_stopping=False,
        random_state=BOOSTING.seed,
    ).fit(np.where(np.isnan(features).all(axis=0), np.float32(0), features), labels)
    assert type(fitted) is HistGradientBoostingClassifier
    assert np.array_equal(fitted.decision_function(features[:2000]), reference.decision_function(features[:2000]))


def test_the_scaling_in_pieces_equals_that_of_whole_columns() -> None:
    features, _ = draw_features(3 * PIECE_ROWS + 17, 5)
    found = fit_preprocessor(features)
    median = np.append(np.nanmedian(features[:, :-1], axis=0), np.float32(0))
    filled = np.where(np.isnan(features), median, features).astype(np.float64)
    assert np.array_equal(found.median, median)
    assert np.array_equal(found.mean, filled.mean(axis=0).astype(np.float32))
    deviation = filled.std(axis=0)[:-1]
    assert np.array_equal(found.factor, np.append(1 / deviation, 0).astype(np.float32))
    scaled = np.clip((np.where(np.isnan(features), median, features) - found.mean) * found.factor, -6, 6)
    assert np.array_equal(found.apply(features, excluded=(1,)), np.delete(scaled, 1, axis=1))


@pytest.mark.parametrize(
    "spec",
    [BOOSTING, NeuralSpec(hidden=(2,), stages=((1e-2, 1),), l2=0.1, excluded_features=(0,), batch=50_000)],
    ids=["boosting", "network"],
)
def test_a_fit_takes_less_memory_than_two_copies_of_its_features(spec: BoostingSpec | NeuralSpec) -> None:
    features, labels = draw_features(500_000, 24)
    preprocessor = fit_preprocessor(features)
    tracemalloc.start()
    try:
        spec.fit(features, preprocessor, labels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * features.nbytes
