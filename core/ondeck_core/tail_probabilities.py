"""Tail probabilities and quantiles of Student's t and the F distribution; the server may not import SciPy."""

import math
from typing import Final

_TINY: Final = 1e-300
_ACCURACY: Final = 1e-15
_MAX_TERMS: Final = 100_000
_QUANTILE_ACCURACY: Final = 1e-12
_BISECTIONS: Final = 200


def t_tail(t: float, freedom: float) -> float:
    """Return the probability that Student's t with so many degrees of freedom is above `t`."""
    beyond = regularized_beta(freedom / (freedom + t * t), freedom / 2, 0.5) / 2
    return beyond if t > 0 else 1 - beyond


def f_tail(f: float, between: float, within: float) -> float:
    """Return the probability that F with `between` and `within` degrees of freedom is above `f`."""
    return regularized_beta(within / (within + between * f), within / 2, between / 2) if f > 0 else 1.0


def f_quantile(tail: float, between: float, within: float) -> float:
    """Return the value that F exceeds with the probability `tail`; with many `within` it is chi2(between) / between."""
    low, high = 0.0, 1.0
    while f_tail(high, between, within) > tail:
        low, high = high, 2 * high
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if high - low <= _QUANTILE_ACCURACY * high:
            break
        low, high = (middle, high) if f_tail(middle, between, within) > tail else (low, middle)
    return high


def t_quantile(tail: float, freedom: float) -> float:
    """Return the value that the absolute value of Student's t exceeds with the probability `tail`."""
    return math.sqrt(f_quantile(tail, 1.0, freedom))


def regularized_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b), x from 0 to 1."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    if x < (a + 1) / (a + b + 2):
        return math.exp(logarithm) * _continued_fraction(x, a, b) / a
    return 1 - math.exp(logarithm) * _continued_fraction(1 - x, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluate the continued fraction of the incomplete beta function by the method of Lentz."""
    upper, lower = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    value = lower
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        uneven = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, uneven):
            lower = 1 / _not_zero(1 + term * lower)
            upper = _not_zero(1 + term / upper)
            change = upper * lower
            value *= change
        if abs(change - 1) < _ACCURACY:
            return value
    return value


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
