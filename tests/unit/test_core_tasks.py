"""Tasks: names, populations and derived statistics."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ondeck_core.derived_stats import batted_ball_stats, called_strike_stats
from ondeck_core.errors import NotFoundError
from ondeck_core.instances import PITCH, valid_mask
from ondeck_core.statcast.parse import parse_cells
from ondeck_core.task_rows import build_instances, label, population
from ondeck_core.tasks import TASKS, task_named


@pytest.mark.parametrize("spelling", ["batted_ball", "batted-ball", "Batted-Ball", " batted_ball "])
def test_a_task_is_found_by_any_spelling(spelling: str) -> None:
    assert task_named(spelling) is TASKS["batted_ball"]


def test_an_unknown_task_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(NotFoundError, match="no task 'home_run'; available: batted_ball, called_strike"):
        task_named("home_run")


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        ("field_out", "out"),
        ("field_error", "out"),
        ("fielders_choice", "out"),
        ("single", "single"),
        ("double", "double"),
        ("triple", "triple"),
        ("home_run", "home_run"),
    ],
)
def test_a_ball_in_play_is_a_hit_or_an_out(event: str, outcome: str) -> None:
    task = TASKS["batted_ball"]
    index = pl.DataFrame({"events": [event]}).select(label(task).alias("label"))["label"][0]
    assert task.outcomes[index] == outcome


@pytest.mark.realdata
@pytest.mark.parametrize(("task", "rows"), [("batted_ball", 19_337), ("called_strike", 57_896), ("whiff", 54_430)])
def test_the_population_is_that_of_the_published_statistics(real_data: Path, task: str, rows: int) -> None:
    month = parse_cells(pl.read_parquet(real_data / "statcast" / "statcast_2024-09.parquet")).rows
    chosen = month.filter((pl.col("game_type") == "R") & population(TASKS[task]))
    instances = build_instances(chosen, TASKS[task].instance)
    assert valid_mask(TASKS[task].instance, instances).sum() == rows


def test_expected_stats_weight_the_outcomes() -> None:
    probabilities = np.array([[0.5, 0.2, 0.1, 0.0, 0.2], [1, 0, 0, 0, 0]], dtype=np.float32)
    figures = batted_ball_stats(probabilities)
    assert figures["xba"] == pytest.approx([0.5, 0.0])
    assert figures["xslg"] == pytest.approx([0.2 + 0.2 + 0.8, 0.0])
    assert figures["xwoba"] == pytest.approx([0.2 * 0.9 + 0.1 * 1.25 + 0.2 * 2.0, 0.0])


def test_a_called_strike_comes_with_its_distance_to_the_edge() -> None:
    place = {"plate_x": np.array([0.0, 0.0]), "plate_z": np.array([4.5, 4.5]), "sz_top": np.array([3.5, np.nan])}
    pitches = PITCH.matrix(place | {"sz_bot": np.array([1.5, 1.5])}, 2)
    figures = called_strike_stats(np.array([[0.9, 0.1], [0.8, 0.2]], dtype=np.float32), pitches)
    assert figures["strike_probability"] == pytest.approx([0.1, 0.2])
    assert figures["edge_distance"] == pytest.approx([1 - 2.9 / 24, np.nan], nan_ok=True)
