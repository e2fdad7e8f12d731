"""Evenly spaced points, and where a value lies between them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Points from `low` to `high`, a `step` apart."""

    low: float
    high: float
    step: float

    @property
    def points(self) -> Column:
        """All points, both ends included."""
        return np.arange(self.low, self.high + self.step / 2, self.step)

    @property
    def cells(self) -> int:
        """How many pieces the points cut the grid into."""
        return round((self.high - self.low) / self.step)

    def place(self, value: Column) -> tuple[Column, NDArray[np.intp]]:
        """Find the share of a cell's way that lies below a value, NaN where it is absent, and the cell's number.

        What lies beyond an end counts as the end.
        """
        way = (np.minimum(np.maximum(value, self.low), self.high) - self.low) / self.step
        cell = np.fmin(way, self.cells - 1).astype(np.intp)  # the last where absent: its share tells
        return way - cell, cell
