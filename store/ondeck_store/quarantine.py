"""The quarantine: rows that do not fit the contract, as they came, each with its reason."""

import hashlib
import json

import polars as pl
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.misfits import CODE, REASON
from ondeck_store.tables import quarantine


async def put_aside(connection: AsyncConnection, *, source: str, unit: str, misfits: pl.DataFrame) -> None:
    """Keep cells of text that have a `code` and a `reason` each; the same row of the same unit is kept once."""
    if misfits.is_empty():
        return
    rows = [
        {
            "source": source,
            "unit": unit,
            "code": row.pop(CODE),
            "reason": row.pop(REASON),
            "cells": row,
            "cells_sha256": _sha256(row),
        }
        for row in misfits.to_dicts()
    ]
    await connection.execute(insert(quarantine).on_conflict_do_nothing(), rows)


async def count(connection: AsyncConnection) -> int:
    """Count the rows in quarantine."""
    return (await connection.execute(select(func.count()).select_from(quarantine))).scalar_one()


def _sha256(cells: dict[str, str | None]) -> str:
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()
