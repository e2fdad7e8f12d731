"""The parity gate: the graph must answer as scikit-learn does, on real rows, those with gaps among them."""

from typing import Final

import numpy as np
from onnx import ModelProto

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import Parity
from ondeck_trainer.artifact.published_model import ModelGraph
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.data.missingness import blank
from ondeck_trainer.model.ensemble import Ensemble, Probabilities

TOLERANCE: Final = 1e-5
LEAST_ROWS: Final = 20_000
SHARE_BLANKED: Final = 0.25


class ParityError(OndeckError):
    """The graph does not answer as the fitted model does; nothing is published."""


def check_parity(ensemble: Ensemble, model: ModelProto, rows: Dataset, *, seed: int, least: int = LEAST_ROWS) -> Parity:
    """Compare both on the last rows, up to twice `least`, and again on those with optional fields blanked.

    Raises:
        ParityError: there are fewer rows than `least`, or a probability differs by more than 1e-5; the text names the
            worst row.
    """
    if len(rows) < least:
        raise ParityError(f"{len(rows):,} rows are too few to hold a graph against; {least:,} are asked for")
    instances = rows.instances[-2 * least :]
    blanked = blank(rows.task.instance, instances, np.full(len(instances), SHARE_BLANKED), seed)
    features = rows.task.features.compute(np.vstack([instances, blanked]))
    return report(ensemble.predict(features), ModelGraph(model.SerializeToString()).probabilities(features), features)


def report(expected: Probabilities, actual: Probabilities, features: Matrix) -> Parity:
    """Compare two answers of shape (n, outcomes) to the same features.

    Raises:
        ParityError: a probability differs by more than 1e-5; the text names the worst row.
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
            f"the graph differs from the model by {found.largest_difference:.2e} (at most {TOLERANCE:.0e} is taken); "
            f"worst of {found.rows} rows: {found.worst_row}"
        )
    return found
