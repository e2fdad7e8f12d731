"""Models to serve in tests: small ones of made-up rows, and the real recipe on real months."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import PRODUCTION
from ondeck_core.statcast.reading import read_cells
from ondeck_core.tasks import TASKS
from ondeck_store.artifacts.moving import Decision, move_alias
from ondeck_trainer.dataset import Dataset, dataset_of
from ondeck_trainer.members import Boosting, Neural, Recipe
from ondeck_trainer.publishing import Fitted, publish_ensemble
from ondeck_trainer.splits import Split, split
from ondeck_trainer.training import Plan, Trained, fit_recipe, judge_recipe, train
from ondeck_trainer.workers import Workers
from tests.made_up import made_up_rows

SEED = 11
SMALL: Recipe = {
    "boosting": Boosting(rounds=12, leaves=8, rate=0.2, least_rows=20, seed=SEED),
    "network": Neural(hidden=(8,), stages=((5e-3, 3), (1e-3, 1)), pull=0.01, seed=SEED),
}


def small_plan(models: Path, *, force: bool = True) -> Plan:
    """Train quickly, on the few rows that a test makes up."""
    return Plan(models=models, seed=SEED, recipe=SMALL, parity_rows=1000, force=force)


@dataclass(frozen=True, kw_only=True)
class RealFit:
    """The judged fit of a task on real months, and a repository that serves that very fit."""

    dataset: Dataset
    days: Split
    trained: Trained
    evaluation: Evaluation
    models: Path


@pytest.fixture(scope="session")
def made_up_season() -> pl.DataFrame:
    """Three months of made-up games, three a day."""
    return made_up_rows(date(2022, 6, 1), days=92, games=3)


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """Every task, fitted small on made-up rows and published; ONDECK_SMALL_MODELS names a folder that keeps them."""
    models = tmp_path_factory.mktemp("small_models")
    kept = Path(os.environ["ONDECK_SMALL_MODELS"]) if "ONDECK_SMALL_MODELS" in os.environ else None
    if kept is None or not kept.is_dir():
        season = request.getfixturevalue("made_up_season")
        with threadpool_limits(1):  # for so few rows threads would wait for each other, long if others use the cores
            for task in TASKS.values():
                train(dataset_of(task, season), small_plan(models), print)
        if kept is not None:
            shutil.copytree(models, kept)
        return models
    return Path(shutil.copytree(kept, models, dirs_exist_ok=True))


@pytest.fixture(scope="session")
def real_season(real_data: Path) -> pl.DataFrame:
    """The real regular season of 2024."""
    months = (
        read_cells(pl.read_parquet(path)).rows.filter(pl.col("game_type") == "R")
        for path in sorted((real_data / "statcast").glob("statcast_2024-*.parquet"))
    )
    return pl.concat(months).sort("game_date", "game_pk", "at_bat_number", "pitch_number")


@pytest.fixture(scope="session")
def real_fit(real_season: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], RealFit]:
    """Fit a task up to July 2024, calibrate in August, judge in September; once a session."""
    models = tmp_path_factory.mktemp("judged_models")
    fits: dict[str, RealFit] = {}

    def fit(task: str) -> RealFit:
        if task not in fits:
            fits[task] = _fit(dataset_of(TASKS[task], real_season), models)
        return fits[task]

    return fit


def _fit(dataset: Dataset, models: Path) -> RealFit:
    plan = Plan(models=models, seed=20240320, workers=Workers(jobs=2))
    days = split(dataset.rows["game_date"].to_list())
    trained = fit_recipe(dataset, days.fit, days.calibrate, plan, print)
    evaluation = judge_recipe(dataset, trained, days)
    published = publish_ensemble(
        Fitted(
            ensemble=trained.ensemble,
            training=trained.training,
            prediction_sets=trained.prediction_sets,
            evaluation=evaluation,
        ),
        rows=dataset,
        models=models,
        parity_rows=plan.parity_rows,
    )
    decision = Decision(who="a test", why="the judged fit", at=datetime.now(UTC))
    move_alias(models, dataset.task.name, PRODUCTION, published.manifest.version, decision)
    return RealFit(dataset=dataset, days=days, trained=trained, evaluation=evaluation, models=models)
