"""Alarms of served predictions on real games: quiet days are silent, shifted days page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from ondeck_core.derived_stats import prediction_sets
from ondeck_core.drift_alarms import EVIDENCE_LEVEL, SEASON_DAYS, Numbers, accumulate_evidence
from ondeck_core.field_drift import compute_profile
from ondeck_core.instances import Matrix
from ondeck_core.scoring import Labels, Probabilities
from ondeck_core.served_scores import PAGING, ScoredRows, ServedScore, TrainingRecord, score_day
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.tasks import TASKS
from ondeck_trainer.artifact.published_model import PublishedModel, open_version
from ondeck_trainer.data.dataset import Dataset, build_dataset
from ondeck_trainer.served.score_days import read_training_record

pytestmark = pytest.mark.realdata

GAMES_PER_DAY = 15
INFORMING = ("input_drift", "base_rate", "coverage")


@dataclass(frozen=True, kw_only=True)
class ServedMonth:
    """The real rows of a month, which a published version predicts."""

    model: PublishedModel
    record: TrainingRecord
    dataset: Dataset

    @cached_property
    def games(self) -> list[NDArray[np.intp]]:
        """Row numbers of each game."""
        numbers = self.dataset.rows["game_pk"].to_numpy()
        return [np.flatnonzero(numbers == game) for game in np.unique(numbers)]

    @cached_property
    def probabilities(self) -> Probabilities:
        return self.predict(self.dataset.instances)

    def predict(self, instances: Matrix) -> Probabilities:
        return self.model.graph.probabilities(self.model.task.features.compute(instances))

    def rows_of(self, games: Sequence[int]) -> ScoredRows:
        """Return the rows of a day of games; a game may occur several times, as different games."""
        rows = np.concatenate([self.games[game] for game in games])
        numbers = np.repeat(np.arange(len(games)), [len(self.games[game]) for game in games]).astype(np.int64)
        return self.scored(self.probabilities[rows], self.dataset.instances[rows], self.dataset.labels[rows], numbers)

    def scored(self, probabilities: Probabilities, instances: Matrix, labels: Labels, games: Numbers) -> ScoredRows:
        rounded, bits = probabilities.astype(np.float32), 2 ** np.arange(probabilities.shape[1])
        sets = [prediction_sets(rounded, each.thresholds) @ bits for each in self.record.manifest.prediction_sets]
        return ScoredRows(
            instances=instances,
            probabilities=probabilities,
            labels=labels,
            games=games,
            prediction_sets=np.column_stack(sets),
        )

    def shifted(self, games: Sequence[int], field: str, shift: float) -> ScoredRows:
        """Return a day on which a field was measured with an offset."""
        rows = self.rows_of(games)
        instances = rows.instances.copy()
        instances[:, self.model.task.instance.index(field)] += np.float32(shift)
        return self.scored(self.predict(instances), instances, rows.labels, rows.games)


@pytest.fixture(scope="module", params=[("called_strike", "07"), ("batted_ball", "07")], ids=lambda each: each[0])
def month(request: pytest.FixtureRequest, real_data: Path, root: Path) -> ServedMonth:
    name, number = request.param
    cells = pl.read_parquet(real_data / "statcast" / f"statcast_2024-{number}.parquet")
    rows = parse_cells(cells).rows.filter(pl.col("game_type") == "R")
    model = open_version(root / "onnx_models", TASKS[name])
    manifest = model.manifest
    record = read_training_record(root / "onnx_models", name, manifest.version, manifest.digest)
    return ServedMonth(model=model, record=record, dataset=build_dataset(TASKS[name], rows))


def score(month: ServedMonth, rows: ScoredRows) -> list[ServedScore]:
    return score_day(month.record, rows, rows.instances[:0])


def evidence(days: Sequence[list[ServedScore]], metric: str) -> list[float]:
    """Return the evidence of a metric after each day."""
    return list(accumulate_evidence(each.p_value for day in days for each in day if each.metric == metric))


def alarm_days(days: Sequence[list[ServedScore]], metric: str) -> int:
    return sum(any(each.metric == metric and each.test.is_alarm for each in day) for day in days)


def test_a_season_of_resampled_real_games_is_silent(month: ServedMonth) -> None:
    draw = np.random.default_rng(20240701)
    days = [
        score(month, month.rows_of(draw.integers(0, len(month.games), GAMES_PER_DAY).tolist()))
        for _ in range(SEASON_DAYS)
    ]
    paged = {metric: sum(each >= EVIDENCE_LEVEL for each in evidence(days, metric)) for metric in PAGING}
    informed = {metric: alarm_days(days, metric) for metric in INFORMING}
    assert max((paged | informed).values()) <= SEASON_DAYS // 100, paged | informed


SHIFTS = {
    "called_strike": [("plate_z", 0.3, 4, {"ece", "log_loss"}), ("plate_z", 0.2, 8, {"ece", "log_loss"})],
    "batted_ball": [("launch_angle", 8.0, 4, {"ece", "log_loss"}), ("launch_speed", 4.0, 8, {"ece"})],
}


@pytest.mark.parametrize("number", [0, 1], ids=["large", "moderate"])
def test_planted_shifts_page_within_days(month: ServedMonth, number: int) -> None:
    field, shift, days, metrics = SHIFTS[month.model.task.name][number]
    draw = np.random.default_rng(5)
    games = [draw.choice(len(month.games), GAMES_PER_DAY, replace=False).tolist() for _ in range(days)]
    scored = [score(month, month.shifted(each, field, shift)) for each in games]
    assert {metric for metric in PAGING if evidence(scored, metric)[-1] >= EVIDENCE_LEVEL} >= metrics
    assert alarm_days(scored, "input_drift") > 0
    quiet = [score(month, month.rows_of(each)) for each in games]
    assert all(evidence(quiet, metric)[-1] < EVIDENCE_LEVEL for metric in PAGING)
    assert alarm_days(quiet, "input_drift") == 0


def test_a_real_day_of_july_has_other_inputs_than_spring_training(month: ServedMonth, real_data: Path) -> None:
    """Zones were measured in another way in spring, and fielders stood elsewhere."""
    march = parse_cells(pl.read_parquet(real_data / "statcast" / "statcast_2024-03.parquet")).rows
    spring = build_dataset(month.model.task, march.filter(pl.col("game_type") == "S"))
    record = replace(month.record, profile=compute_profile(month.model.task.instance, spring.instances))
    days, july = month.dataset.rows["game_date"].to_list(), date(2024, 7, 10)
    games = [number for number, rows in enumerate(month.games) if days[int(rows[0])] == july]
    rows = month.rows_of(games)
    found = score_day(record, rows, rows.instances[:0])
    moved = {each.subject for each in found if each.metric == "input_drift" and each.test.is_alarm}
    assert moved >= {"called_strike": {"sz_top"}, "batted_ball": {"of_fielding_alignment"}}[month.model.task.name]
    assert not any(each.test.is_alarm for each in score(month, rows) if each.metric == "input_drift")
