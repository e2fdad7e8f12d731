"""One list of checks that every shipped model and its feature set must pass."""

from pathlib import Path

import numpy as np
import pytest

from ondeck_core.instances import PITCH, Matrix
from ondeck_core.manifest import PRODUCTION
from ondeck_core.statcast.schema import NAMES
from ondeck_core.task_rows import statcast_columns
from ondeck_core.tasks import TASKS
from ondeck_registry.repository import aliases
from ondeck_server.models.servable import LoadedVersion, load
from ondeck_trainer.artifact.parity import draw_instances

ROWS = 500
AFTER_THE_EVENT = {
    name
    for name in NAMES
    if name.startswith(("hit_", "post_", "delta_", "estimated_", "woba_", "babip_", "iso_", "launch_speed_angle"))
} | {"events", "des", "description", "type", "bb_type", "hyper_speed", "home_win_exp", "bat_win_exp"}


@pytest.fixture(scope="module", params=sorted(TASKS))
def version(request: pytest.FixtureRequest, root: Path) -> LoadedVersion:
    number = aliases(root / "onnx_models", request.param)[PRODUCTION]
    return load(root / "onnx_models" / request.param / str(number), request.param, number)


@pytest.fixture
def instances(version: LoadedVersion) -> Matrix:
    return draw_instances(version.task.instance, ROWS, seed=8)


def test_probabilities_are_from_0_to_1_and_sum_to_1(version: LoadedVersion, instances: Matrix) -> None:
    given = version.predict_proba(instances)
    assert ((given >= 0) & (given <= 1)).all()
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)


def test_a_batch_equals_its_rows_one_by_one(version: LoadedVersion, instances: Matrix) -> None:
    single = np.vstack([version.predict_proba(instances[row : row + 1]) for row in range(100)])
    np.testing.assert_allclose(version.predict_proba(instances)[:100], single, atol=1e-6)


def test_the_order_of_the_columns_is_irrelevant(version: LoadedVersion, instances: Matrix) -> None:
    instance = version.task.instance
    columns = {name: instances[:, instance.index(name)] for name in reversed(instance.names)}
    np.testing.assert_array_equal(instance.matrix(columns, ROWS), instances)


def test_an_unknown_code_counts_as_absent(version: LoadedVersion, instances: Matrix) -> None:
    coded = [field.codes is not None for field in version.task.instance.fields]
    unknown, absent = instances.copy(), instances.copy()
    unknown[:, coded], absent[:, coded] = 99, np.nan
    given = version.predict_proba(unknown)
    assert np.isfinite(given).all()
    np.testing.assert_allclose(given, version.predict_proba(absent), atol=1e-6)


def test_a_row_with_only_required_fields_gets_finite_probabilities(version: LoadedVersion) -> None:
    nothing = np.full((1, len(version.task.instance.fields)), np.nan, dtype=np.float32)
    assert np.isfinite(version.predict_proba(nothing)).all()


def test_no_feature_uses_an_outcome_column(version: LoadedVersion) -> None:
    made_of = set(statcast_columns(version.task.instance)) - {"hc_x", "hc_y"}  # which give only the direction
    if version.task.instance is PITCH:
        assert not {name for name in made_of if name.startswith(("launch_", "hc_"))}
    assert made_of & AFTER_THE_EVENT == set()


def test_a_called_strike_is_less_likely_further_from_the_zone(root: Path) -> None:
    number = aliases(root / "onnx_models", "called_strike")[PRODUCTION]
    model = load(root / "onnx_models" / "called_strike" / str(number), "called_strike", number)
    steps = np.arange(0.0, 1.8, 0.2)  # ft
    for stand in (1, 2):
        for x, z, dx, dz in ((0.83, 2.5, 1, 0), (-0.83, 2.5, -1, 0), (0, 3.4, 0, 1), (0, 1.6, 0, -1)):
            fields = {"plate_x": x + dx * steps, "plate_z": z + dz * steps, "stand": np.full(len(steps), stand)}
            known = {"sz_top": 3.4, "sz_bot": 1.6, "release_speed": 93, "balls": 1, "strikes": 1, "p_throws": 2}
            columns = fields | {name: np.full(len(steps), value) for name, value in known.items()}
            strike = model.predict_proba(PITCH.matrix(columns, len(steps)))[:, 1]
            assert (np.diff(strike) <= 2e-3).all(), (stand, dx, dz, strike)
            assert strike[-1] < 0.01 < strike[0]
