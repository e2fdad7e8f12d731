"""What is credited to whom."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """Contributions to each outcome and their standard errors, both of shape (parts, outcomes)."""

    contributions: Values
    standard_errors: Values
