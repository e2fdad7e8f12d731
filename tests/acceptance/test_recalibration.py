"""Recalibration on two weeks of real rows improves the following days."""

import time
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from ondeck_core.manifest import Window
from ondeck_core.tasks import TASKS
from ondeck_trainer.artifact.publish import PublishableModel, publish_ensemble
from ondeck_trainer.artifact.published_model import PublishedModel, open_version
from ondeck_trainer.data.dataset import Dataset, build_dataset
from ondeck_trainer.data.source import SourceRows
from ondeck_trainer.evaluation.published_versions import compare
from ondeck_trainer.model.learners import BoostingSpec, Recipe
from ondeck_trainer.pipeline import TrainingPlan, evaluate_recipe, fit_recipe, split
from ondeck_trainer.recalibrate import recalibrate

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(1800)]  # a fit of a season takes minutes

TASK = TASKS["called_strike"]
SPRING: Recipe = {
    "boosting": BoostingSpec(n_iterations=120, max_leaves=31, learning_rate=0.1, feature_fraction=0.3, seed=1)
}
TWO_WEEKS = timedelta(days=14)
PAIRS = [
    (date(2024, 6, 17), date(2024, 6, 30), date(2024, 7, 31)),
    (date(2024, 7, 19), date(2024, 8, 1), date(2024, 8, 31)),
    (date(2024, 8, 18), date(2024, 8, 31), date(2024, 9, 30)),
]


@pytest.fixture(scope="module")
def season(real_season: pl.DataFrame) -> Dataset:
    return build_dataset(TASK, real_season)


@pytest.fixture(scope="module")
def spring_version(season: Dataset, tmp_path_factory: pytest.TempPathFactory) -> PublishedModel:
    """A version that was trained on March to May."""
    plan = TrainingPlan(models=tmp_path_factory.mktemp("spring"), seed=1, recipe=SPRING)
    days = split(season.rows["game_date"].to_list(), date(2024, 6, 1))
    trained = fit_recipe(season, days.fit, days.calibrate, plan, print)
    fitted = PublishableModel(
        ensemble=trained.ensemble,
        training=trained.training,
        prediction_sets=trained.prediction_sets,
        evaluation=evaluate_recipe(season, trained, days),
    )
    publish_ensemble(fitted, rows=season, models=plan.models, parity_rows=20_000)
    return open_version(plan.models, TASK, 1)


def test_recalibration_on_two_weeks_improves_later_days_within_seconds(
    real_season: pl.DataFrame, season: Dataset, spring_version: PublishedModel
) -> None:
    models: Path = spring_version.folder.parent.parent
    before, after, gained = [], [], []
    for first, last, until in PAIRS:
        begin = time.process_time()
        recent = Window(first_day=first, last_day=last + TWO_WEEKS)  # the later half evaluates
        made = recalibrate(spring_version, season.between(recent), models)
        assert time.process_time() - begin <= 20
        newer = open_version(models, TASK, made.manifest.version)
        calibrated_until = made.manifest.training.calibration_window.last_day
        assert abs(calibrated_until - last) <= timedelta(days=2)
        rows = real_season.filter(pl.col("game_date").is_between(calibrated_until, until, closed="right"))
        found = compare(newer, spring_version, SourceRows.of(rows))
        gained.append(found.log_loss)
        before.append(found.second.ece or 0.0)
        after.append(found.first.ece or 0.0)
    assert sum(after) < 0.85 * sum(before)
    assert sum(gained) < 0
