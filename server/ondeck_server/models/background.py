"""The background of a version: usual instances, beside which its answers are explained."""

import numpy as np

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.explain.background_order import alike_side_by_side
from ondeck_core.explain.field_groups import settled
from ondeck_core.features.feature_set import FeatureSet
from ondeck_core.instances import Matrix, legal
from ondeck_core.manifest import BACKGROUND_FILE, Background


def background_rows(claimed: Background, features: FeatureSet) -> Matrix:
    """Lay out a background as explanations want it: a matrix of shape (rows, fields).

    Raises:
        ArtifactRefusedError: it is of other fields, or holds a row that nobody may ask about.
    """
    instance = features.instance
    if claimed.fields != instance.names or {len(row) for row in claimed.instances} != {len(claimed.fields)}:
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} holds no instances of {instance.message}")
    rows = np.array(claimed.instances, dtype=np.float32)
    if not legal(instance, rows).all():
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} holds an instance that nobody may ask about")
    return arranged(rows, features)


def arranged(rows: Matrix, features: FeatureSet) -> Matrix:
    """Settle the rows of a background, and put those side by side that the model sees alike."""
    known = settled(features.instance, rows)
    return alike_side_by_side(known, features.compute(known))
