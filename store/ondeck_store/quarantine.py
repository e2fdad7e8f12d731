"""The quarantine: rows that do not fit the contract, as they came, each with its reason."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from typing import Final

import polars as pl
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.misfits import CODE, REASON
from ondeck_store.tables import quarantine

ROWS_AT_ONCE: Final = 2048


async def put_aside(connection: AsyncConnection, *, source: str, unit: str, misfits: pl.DataFrame) -> None:
    """Keep cells of text that have a `code` and a `reason` each; the same rows of the same unit are kept once.

    A row that stands in the unit several times is kept as often.
    """
    seen: Counter[str] = Counter()
    for part in misfits.iter_slices(ROWS_AT_ONCE):
        rows = [
            {
                "source": source,
                "unit": unit,
                "code": row.pop(CODE),
                "reason": row.pop(REASON),
                "cells": row,
                "cells_sha256": _sha256(row, seen),
            }
            for row in part.iter_rows(named=True)
        ]
        await connection.execute(insert(quarantine).on_conflict_do_nothing(), rows)


async def count(connection: AsyncConnection) -> int:
    """Count the rows in quarantine."""
    return (await connection.execute(select(func.count()).select_from(quarantine))).scalar_one()


def _sha256(cells: Mapping[str, str | None], seen: Counter[str]) -> str:
    text = json.dumps(cells, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    seen[digest] += 1
    return digest if seen[digest] == 1 else hashlib.sha256(f"{text} {seen[digest]}".encode()).hexdigest()
