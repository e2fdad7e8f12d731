"""Parity of graph and scikit-learn: on real rows before publication, on golden rows each time the graph is loaded."""

from typing import Final

import numpy as np
from onnx import ModelProto

from ondeck_core.errors import OndeckError
from ondeck_core.instances import BATTED_BALL, InstanceType, Matrix
from ondeck_core.manifest import Golden, Parity
from ondeck_core.tasks import Task
from ondeck_trainer.artifact.published_model import ModelGraph
from ondeck_trainer.data.dataset import Dataset, mask_optional_fields
from ondeck_trainer.model.ensemble import Ensemble, Probabilities

TOLERANCE: Final = 1e-5
MIN_ROWS: Final = 20_000
MASKED_SHARE: Final = 0.25  # of the optional fields
GOLDEN_ROWS: Final = 64
_GOLDEN_SEED: Final = 7
_TYPICAL: Final[dict[str, tuple[float, float]]] = {
    "plate_x": (-1.6, 1.6),
    "plate_z": (0.4, 4.6),
    "sz_top": (3.0, 3.8),
    "sz_bot": (1.3, 1.9),
    "release_speed": (70, 102),
    "pfx_x": (-1.8, 1.8),
    "pfx_z": (-1.5, 1.9),
    "launch_speed": (30, 118),
    "launch_angle": (-50, 70),
    "spray_angle": (-50, 50),
}


class ParityError(OndeckError):
    """The graph does not compute the probabilities of the fitted model; nothing is published."""


def check_parity(
    ensemble: Ensemble, model: ModelProto, rows: Dataset, *, seed: int, min_rows: int = MIN_ROWS
) -> Parity:
    """Compare graph and ensemble on the last rows, up to twice `min_rows`, and on copies with optional fields masked.

    Raises:
        ParityError: there are fewer rows than `min_rows`, or a probability differs by more than 1e-5; the text has the
            worst row.
    """
    if len(rows) < min_rows:
        raise ParityError(f"{len(rows):,} rows are too few for the parity check; {min_rows:,} are required")
    instances = rows.instances[-2 * min_rows :]
    shares = np.full(len(instances), MASKED_SHARE)
    masked = mask_optional_fields(rows.task.instance, instances, shares, seed)
    features = rows.task.features.compute(np.vstack([instances, masked]))
    actual = ModelGraph(model.SerializeToString()).probabilities(features)
    return require_parity(ensemble.predict(features), actual, features)


def require_parity(expected: Probabilities, actual: Probabilities, features: Matrix) -> Parity:
    """Compare the probabilities of scikit-learn and graph, of shape (n, outcomes), for the same features.

    Raises:
        ParityError: a probability differs by more than 1e-5; the text has the worst row.
    """
    difference = np.abs(expected - actual).max(axis=1)
    worst = int(difference.argmax())
    found = Parity(
        rows=len(features),
        rows_with_nan=int(np.isnan(features).any(axis=1).sum()),
        tolerance=TOLERANCE,
        largest_difference=float(difference[worst]),
        worst_row=tuple(None if np.isnan(value) else float(value) for value in features[worst]),
        worst_row_sklearn=tuple(map(float, expected[worst])),
        worst_row_onnx=tuple(map(float, actual[worst])),
    )
    if not found.largest_difference <= TOLERANCE:
        raise ParityError(
            f"the graph differs from the model by {found.largest_difference:.2e} (at most {TOLERANCE:.0e} is allowed); "
            f"worst of {found.rows} rows: {found.worst_row}"
        )
    return found


def compute_golden_rows(ensemble: Ensemble, task: Task) -> Golden:
    """Draw random instances, some with missing fields, and compute their probabilities with scikit-learn."""
    instances = draw_instances(task.instance, GOLDEN_ROWS, _GOLDEN_SEED)
    probabilities = ensemble.predict(task.features.compute(instances))
    return Golden(
        tolerance=TOLERANCE,
        fields=task.instance.names,
        instances=tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in instances),
        probabilities=tuple(tuple(map(float, row)) for row in probabilities),
    )


def draw_instances(instance: InstanceType, rows: int, seed: int) -> Matrix:
    """Draw valid instances from typical ranges, not from real pitches; the second half has missing optional fields."""
    draw = np.random.default_rng(seed)
    columns = {}
    for field in instance.fields:
        low, high = _TYPICAL.get(field.name, (field.low, max(field.codes) if field.codes else field.high))
        values = draw.uniform(low, high, rows)
        columns[field.name] = np.round(values) if field.integer or field.codes else values
    if instance is BATTED_BALL:
        del columns["hc_x"], columns["hc_y"]  # a request has either hit coordinates or the spray angle
    matrix = instance.matrix(columns, rows)
    half = rows // 2
    matrix[half:] = mask_optional_fields(instance, matrix[half:], np.full(rows - half, MASKED_SHARE), seed)
    return matrix
