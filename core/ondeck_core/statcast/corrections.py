"""Rules decided by hand for rows that do not fit: what they say, and what they are to say instead.

A rule never touches a row that fits, and a row that it mends never takes the place of one that fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Final

import polars as pl

RULE: Final = "rule"


@dataclass(frozen=True, kw_only=True)
class CorrectionRule:
    """Where a row that was set aside says all of `cells`, it is to say `instead`; "" is nothing. Texts by column."""

    number: int
    cells: Mapping[str, str]
    instead: Mapping[str, str]


def mended(misfits: pl.DataFrame, rules: Sequence[CorrectionRule]) -> tuple[pl.DataFrame, pl.Series]:
    """Apply rules, one after the other, to cells of text; tells for each row the last rule that met it, or null."""
    cells, met = misfits, pl.Series(RULE, [None] * misfits.height, dtype=pl.Int64)
    for rule in rules:
        if not {*rule.cells, *rule.instead} <= set(cells.columns):
            continue
        meets = cells.select(_meets(rule)).to_series()
        cells = cells.with_columns(
            pl.when(meets).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
            for name, value in rule.instead.items()
        )
        met = pl.select(pl.when(meets).then(rule.number).otherwise(met).cast(pl.Int64)).to_series()
    return cells, met.alias(RULE)


def _meets(rule: CorrectionRule) -> pl.Expr:
    said = [pl.col(name).fill_null("").str.strip_chars() == value for name, value in rule.cells.items()]
    return reduce(lambda met, each: met & each, said, pl.lit(value=True))
