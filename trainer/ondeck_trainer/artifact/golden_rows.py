"""Golden rows: made-up instances, none of them ever thrown or hit, with the answers that scikit-learn gives."""

from typing import Final

import numpy as np

from ondeck_core.instances import BATTED_BALL, InstanceType, Matrix
from ondeck_core.manifest import Golden
from ondeck_core.tasks import Task
from ondeck_trainer.artifact.parity import SHARE_BLANKED, TOLERANCE
from ondeck_trainer.data.missingness import blank
from ondeck_trainer.model.ensemble import Ensemble

ROWS: Final = 64
SEED: Final = 7
_USUAL: Final[dict[str, tuple[float, float]]] = {
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


def golden_rows(ensemble: Ensemble, task: Task) -> Golden:
    """Draw instances in the usual ranges, some of them with gaps, and have them answered."""
    instances = make_up_instances(task.instance, ROWS, SEED)
    probabilities = ensemble.predict(task.features.compute(instances))
    return Golden(
        tolerance=TOLERANCE,
        fields=task.instance.names,
        instances=tuple(tuple(None if np.isnan(v) else float(v) for v in row) for row in instances),
        probabilities=tuple(tuple(map(float, row)) for row in probabilities),
    )


def make_up_instances(instance: InstanceType, rows: int, seed: int) -> Matrix:
    """Draw legal instances; in the second half, optional fields are absent here and there."""
    draw = np.random.default_rng(seed)
    columns = {}
    for field in instance.fields:
        low, high = _USUAL.get(field.name, (field.low, max(field.codes) if field.codes else field.high))
        values = draw.uniform(low, high, rows)
        columns[field.name] = np.round(values) if field.whole or field.codes else values
    if instance is BATTED_BALL:
        del columns["hc_x"], columns["hc_y"]  # the direction is given once
    matrix = instance.matrix(columns, rows)
    half = rows // 2
    matrix[half:] = blank(instance, matrix[half:], np.full(rows - half, SHARE_BLANKED), seed)
    return matrix
