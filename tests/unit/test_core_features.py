"""Feature sets: batches, absent values, fingerprints."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ondeck_core.categories import PitchType, Side
from ondeck_core.features.feature_set import FeatureSet
from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS, Task

OUTCOME_WORDS = ("hit_distance", "hc_x", "hc_y", "radius", "events", "estimated", "woba", "post_", "delta_")


def compute_features(features: FeatureSet, **values: float) -> dict[str, float]:
    columns = {name: np.array([value]) for name, value in values.items()}
    computed = features.compute(features.instance.matrix(columns, 1))
    return dict(zip(features.names, computed[0].tolist(), strict=True))


def sample_instances(task: Task, rows: int, seed: int) -> Matrix:
    """Return random instances with about a third of the optional cells absent."""
    draw = np.random.default_rng(seed)
    columns = {}
    for field in task.instance.fields:
        high = max(field.codes) if field.codes else field.high
        values = draw.uniform(field.low, high, rows)
        if field.integer or field.codes:
            values = np.round(values)
        if not field.required:
            values[draw.random(rows) < 0.35] = np.nan
        columns[field.name] = values
    return task.instance.matrix(columns, rows)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_no_feature_reveals_the_outcome(task: Task) -> None:
    assert [name for name in task.features.names if any(word in name for word in OUTCOME_WORDS)] == []


@settings(deadline=None)  # the first trajectory is slow to compute
@given(angle=st.floats(-60, 60), near=st.floats(20, 150), far=st.floats(20, 150))
def test_hit_coordinates_give_only_the_direction(angle: float, near: float, far: float) -> None:
    radians = np.radians(angle)
    first, second = (
        compute_features(
            TASKS["batted_ball"].features,
            launch_speed=100,
            launch_angle=20,
            hc_x=125.42 + radius * np.sin(radians),
            hc_y=198.27 - radius * np.cos(radians),
        )
        for radius in (near, far)
    )
    assert first == pytest.approx(second, abs=1e-3, nan_ok=True)


@pytest.mark.parametrize(("stand", "pull"), [(Side.R, 30.0), (Side.L, -30.0)])
def test_a_right_hander_pulls_to_left_field(stand: Side, pull: float) -> None:
    ball = compute_features(
        TASKS["batted_ball"].features, launch_speed=100, launch_angle=20, spray_angle=-30, stand=float(stand)
    )
    assert ball["pull_angle"] == pytest.approx(pull)


@pytest.mark.parametrize(("stand", "toward"), [(Side.R, 0.5), (Side.L, -0.5)])
def test_a_right_hander_stands_at_negative_plate_x(stand: Side, toward: float) -> None:
    pitch = compute_features(TASKS["called_strike"].features, plate_x=-0.5, plate_z=2.5, stand=float(stand))
    assert pitch["toward_batter"] == pytest.approx(toward)


@pytest.mark.parametrize(
    ("kind", "flags"),
    [
        (float(PitchType.FF), (1.0, 0.0, 0.0)),
        (float(PitchType.ST), (0.0, 1.0, 0.0)),
        (float(PitchType.CH), (0.0, 0.0, 1.0)),
        (float(PitchType.EP), (0.0, 0.0, 0.0)),
        (0.0, (np.nan,) * 3),
        (99.0, (np.nan,) * 3),
        (np.nan, (np.nan,) * 3),
    ],
)
def test_an_unknown_pitch_type_is_absent(kind: float, flags: tuple[float, ...]) -> None:
    pitch = compute_features(TASKS["called_strike"].features, plate_x=0, plate_z=2, pitch_type=kind)
    assert [pitch[name] for name in ("is_fastball", "is_breaking", "is_offspeed")] == pytest.approx(flags, nan_ok=True)


def bits(features: Matrix) -> list[list[int]]:
    """Return the bits of each value; all NaNs count as equal."""
    stored: list[list[int]] = np.where(np.isnan(features), np.float32(np.nan), features).view(np.uint32).tolist()
    return stored


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_row_has_the_same_features_singly_and_in_a_batch(task: Task) -> None:
    instances = sample_instances(task, 257, seed=1)
    singly = np.vstack([task.features.compute(instances[i : i + 1]) for i in range(len(instances))])
    assert bits(task.features.compute(instances)) == bits(singly)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # from cells that no caller may send
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_invalid_rows_have_the_same_features_singly_and_in_a_batch(task: Task, data: st.DataObject) -> None:
    extremes = st.sampled_from([np.nan, 0.0, -0.0, 1.0, 2.0, 99.0, -45.0, 3e38, -3e38, 1e-45, np.inf, -np.inf])
    instances = data.draw(arrays(np.float32, (7, len(task.instance.fields)), elements=extremes.map(np.float32)))
    singly = np.vstack([task.features.compute(instances[i : i + 1]) for i in range(len(instances))])
    assert bits(task.features.compute(instances)) == bits(singly)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_features_of_many_rows_equal_those_of_chunks(task: Task) -> None:
    instances = sample_instances(task, 5000, seed=3)
    chunks = [task.features.compute(instances[start : start + 100]) for start in range(0, 5000, 100)]
    assert bits(task.features.compute(instances)) == bits(np.vstack(chunks))
    assert task.features.compute(instances[:0]).shape == (0, len(task.features.names))


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_features_are_float32_and_never_infinite(task: Task) -> None:
    computed = task.features.compute(sample_instances(task, 1000, seed=2))
    assert computed.dtype == np.float32
    assert not np.isinf(computed).any()


def test_a_fingerprint_changes_with_the_declaration_of_a_set() -> None:
    sets = {task.features.name: task.features for task in TASKS.values()}
    assert len({features.fingerprint for features in sets.values()}) == len(sets) == 2
