"""The background of a version: usual instances, beside which its answers are explained."""

import numpy as np

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.explaining.parts import settled
from ondeck_core.instances import InstanceType, Matrix, legal
from ondeck_core.manifest import BACKGROUND_FILE, Background


def background_rows(claimed: Background, instance: InstanceType) -> Matrix:
    """Lay out a background as a settled matrix of shape (rows, fields).

    Raises:
        ArtifactRefusedError: it is of other fields, or holds a row that nobody may ask about.
    """
    if claimed.fields != instance.names or {len(row) for row in claimed.instances} != {len(claimed.fields)}:
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} holds no instances of {instance.message}")
    rows = np.array(claimed.instances, dtype=np.float32)
    if not legal(instance, rows).all():
        raise ArtifactRefusedError(f"{BACKGROUND_FILE} holds an instance that nobody may ask about")
    return settled(instance, rows)
