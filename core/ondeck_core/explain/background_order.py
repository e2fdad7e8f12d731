"""Rows of a background in such an order that neighbours are alike: opposite walks from them err to opposite sides."""

import numpy as np

from ondeck_core.explain.attribution import Values
from ondeck_core.instances import Matrix


def alike_side_by_side(background: Matrix, inputs: Matrix) -> Matrix:
    """Put the two rows first whose inputs of the model, shape (rows, features), are nearest, then the next two ..."""
    distances = _distances(inputs)
    np.fill_diagonal(distances, np.inf)
    left, order = list(range(len(background))), list[int]()
    while len(left) > 1:
        nearest = int(distances[np.ix_(left, left)].argmin())
        pair = [left[number] for number in divmod(nearest, len(left))]
        order += pair
        left = [row for row in left if row not in pair]
    return background[order + left]


def _distances(inputs: Matrix) -> Values:
    """Tell how far rows lie from each other, feature by feature in standard deviations; what is absent is usual."""
    known = inputs.astype(np.float64)
    counts = np.maximum(1, (~np.isnan(known)).sum(axis=0))
    centred = known - np.nansum(known, axis=0) / counts
    deviations = np.sqrt(np.nansum(centred**2, axis=0) / counts)
    scaled = np.nan_to_num(centred / np.where(deviations > 0, deviations, 1))
    distances: Values = ((scaled[:, np.newaxis] - scaled[np.newaxis]) ** 2).sum(axis=2)
    return distances
