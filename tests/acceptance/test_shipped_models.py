"""The shipped models: predictions through a server, and the metrics and checks that their files state."""

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format

from benchmarks.messages import columns
from ondeck_client import BattedBall, Client, Pitch, Side
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import PRODUCTION, Manifest, Parity
from ondeck_core.tasks import TASKS
from ondeck_registry import repository
from ondeck_server.batching.sliced_work import SLICE_ROWS
from ondeck_trainer.artifact.model_card import render_card
from ondeck_trainer.artifact.parity import draw_instances
from tests.fixtures.models import RealFit
from tests.fixtures.server import serving

SIX_MEGABYTES = 6_000_000
SHIPPED = sorted(TASKS)
GRAPHS = {
    "batted_ball": "c97ba332331f5304288d4cd2da61c7475b08fbeca5e29356a82aa5f1f549bd5f",
    "called_strike": "f8a61eb26db6d5dd4c7a569045dfd5f712d186340a3f67133dbf747d48025f44",
    "pitch_outcome": "73df5e0c9e9209ef90d0aceadc24a8ae64bb47cb1176512cfcef0eca66976ed9",
    "whiff": "4fa400e834cbba0c891a3a30af3f653a38b4cdfa97be37838f821b119edf70a5",
}


@pytest.fixture(scope="module")
def models(root: Path) -> Path:
    return root / "onnx_models"


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[Client]:
    with serving(models) as server, Client(server.target) as opened:
        yield opened


def folder(models: Path, model: str) -> Path:
    return models / model / str(repository.aliases(models, model)[PRODUCTION])


@pytest.mark.parametrize("stand", Side.values())
def test_a_hard_high_ball_to_center_is_probably_a_home_run(client: Client, stand: "Side.ValueType") -> None:
    ball = BattedBall(launch_speed=108, launch_angle=27, spray_angle=0, stand=stand)
    outcomes = {each.outcome: each.probability for each in client.predict("batted_ball", ball).outcomes}
    assert outcomes["home_run"] > 0.5
    assert sum(outcomes.values()) == pytest.approx(1, abs=1e-5)


ZONES = [{}, {"sz_top": 3.4, "sz_bot": 1.6}, {"sz_top": 3.4, "sz_bot": 1.6, "release_speed": 95, "balls": 3}]


@pytest.mark.parametrize("known", ZONES, ids=["location only", "zone", "zone, speed and count"])
@pytest.mark.parametrize(("plate_x", "low", "high"), [(0, 0.97, 1), (3, 0, 0.01), (-3, 0, 0.01)])
def test_the_middle_is_a_strike_and_three_feet_outside_is_a_ball(
    client: Client, known: dict[str, float], plate_x: float, low: float, high: float
) -> None:
    pitch = Pitch(plate_x=plate_x, plate_z=2.5)
    for name, value in known.items():
        setattr(pitch, name, int(value) if name == "balls" else value)
    probability = client.predict("called_strike", pitch).called_strike.strike_probability
    assert low <= probability <= high


@pytest.mark.parametrize("model", SHIPPED)
def test_every_valid_instance_gets_probabilities(client: Client, model: str) -> None:
    task = TASKS[model]
    answer = client.batch_predict(model, columns(task.instance, draw_instances(task.instance, 20_000, seed=3)))
    probabilities = np.array(answer.probabilities).reshape(-1, len(task.outcomes))
    assert len(probabilities) == 20_000
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("model", SHIPPED)
def test_a_large_batch_has_the_rows_of_its_parts_in_their_order(client: Client, model: str) -> None:
    instances = draw_instances(TASKS[model].instance, 2 * SLICE_ROWS + 1, seed=4)
    halves = [client.batch_predict(model, columns(TASKS[model].instance, part)) for part in np.split(instances, [4000])]
    expected, rest = halves
    expected.probabilities.extend(rest.probabilities)
    expected.ensemble_spread.extend(rest.ensemble_spread)
    expected.confidence.extend(rest.confidence)
    for column, more in zip(expected.prediction_sets, rest.prediction_sets, strict=True):
        column.outcomes.extend(more.outcomes)
    for name in ("batted_balls", "called_strikes"):
        if rest.HasField(name):
            getattr(expected, name).MergeFrom(getattr(rest, name))
    answer = client.batch_predict(model, columns(TASKS[model].instance, instances))
    assert text_format.MessageToString(answer) == text_format.MessageToString(expected)


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_artifact_is_small(models: Path, model: str) -> None:
    for path in (models / model).rglob("*"):
        assert not path.is_file() or path.stat().st_size < SIX_MEGABYTES, path


@pytest.mark.parametrize("model", SHIPPED)
def test_shipped_graphs_were_compared_with_scikit_learn_on_enough_rows(models: Path, model: str) -> None:
    parity = Parity.model_validate_json((folder(models, model) / "parity.json").read_bytes())
    assert parity.rows >= 20_000
    assert parity.rows_with_nan > 0
    assert parity.largest_difference <= 1e-5
    differences = np.abs(np.subtract(parity.worst_row_sklearn, parity.worst_row_onnx))
    assert differences.max() == pytest.approx(parity.largest_difference, rel=1e-6)


@pytest.mark.parametrize("model", SHIPPED)
def test_the_model_card_matches_the_manifest(models: Path, model: str) -> None:
    at = folder(models, model)
    manifest = Manifest.model_validate_json((at / "manifest.json").read_bytes())
    evaluation = Evaluation.model_validate_json((at / "evaluation.json").read_bytes())
    parity = Parity.model_validate_json((at / "parity.json").read_bytes())
    assert (at / "card.md").read_text() == render_card(TASKS[model], manifest, evaluation, parity)


MARKS = {
    "batted_ball": {"hit_log_loss": 0.325, "log_loss": 0.424, "hit_ece": 0.008},
    "called_strike": {"log_loss": 0.137},
    "whiff": {"log_loss": 0.439},
    "pitch_outcome": {"log_loss": 0.950},
}


AT_LEAST = {"batted_ball": {"hit_accuracy": 0.857}, "called_strike": {"accuracy": 0.94}, "whiff": {"auc": 0.788}}


@pytest.mark.parametrize("model", SHIPPED)
def test_the_shipped_evaluation_reaches_the_thresholds(models: Path, model: str) -> None:
    evaluation = json.loads((folder(models, model) / "evaluation.json").read_text())
    assert evaluation["evaluation_window"] == {"first_day": "2024-09-01", "last_day": "2024-09-30"}
    assert max(evaluation["fit_window"]["last_day"], evaluation["calibration_window"]["last_day"]) < "2024-09-01"
    assert {name: evaluation[name] for name in MARKS[model] if evaluation[name] > MARKS[model][name]} == {}
    least = AT_LEAST.get(model, {})
    assert {name: evaluation[name] for name in least if evaluation[name] < least[name]} == {}


@pytest.mark.parametrize("model", SHIPPED)
def test_shipped_prediction_sets_have_their_stated_coverage(models: Path, model: str) -> None:
    evaluation = Evaluation.model_validate_json((folder(models, model) / "evaluation.json").read_bytes())
    held = {each.nominal: each.empirical for each in evaluation.prediction_sets}
    assert held == {0.8: pytest.approx(0.8, abs=0.015), 0.9: pytest.approx(0.9, abs=0.01)}


@pytest.mark.parametrize("model", SHIPPED)
def test_every_shipped_member_improves_the_ensemble(models: Path, model: str) -> None:
    evaluation = Evaluation.model_validate_json((folder(models, model) / "evaluation.json").read_bytes())
    assert len(evaluation.ablation) >= 2
    assert [each.member for each in evaluation.ablation if each.log_loss_increase <= 0] == []


@pytest.mark.realdata
@pytest.mark.parametrize("model", ["batted_ball", "called_strike"])
def test_refitting_the_recipe_reproduces_the_manifest(
    models: Path, model: str, real_fit: Callable[[str], RealFit]
) -> None:
    claimed = Evaluation.model_validate_json((folder(models, model) / "evaluation.json").read_bytes())
    again = real_fit(model).evaluation
    assert (again.fit_window, again.calibration_window, again.evaluation_window, again.rows) == (
        claimed.fit_window,
        claimed.calibration_window,
        claimed.evaluation_window,
        claimed.rows,
    )
    assert (again.log_loss, again.ece, again.accuracy) == pytest.approx(
        (claimed.log_loss, claimed.ece, claimed.accuracy), abs=2e-3
    )


@pytest.mark.parametrize("model", SHIPPED)
def test_migration_left_the_shipped_graph_unchanged(models: Path, model: str) -> None:
    assert hashlib.sha256((folder(models, model) / "model.onnx").read_bytes()).hexdigest() == GRAPHS[model]
    assert json.loads((folder(models, model) / "manifest.json").read_text())["format"] == 2
