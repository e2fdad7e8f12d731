"""Into the quarantine: rows that do not fit the contract, as they came, each with its reason."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Text, all_, func, literal, tuple_, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.parse import RULE, ParseResult
from ondeck_core.statcast.row_checks import CODE, REASON
from ondeck_store.tables.ingest import quarantine

ROWS_AT_ONCE: Final = 2048
_KEY: Final = ("source", "unit", "cells_sha256")
_TOLD: Final = (CODE, REASON, "closed_at", "outcome", RULE)


async def put_aside(connection: AsyncConnection, *, source: str, unit: str, reading: ParseResult) -> None:
    """Keep what does not fit of a unit, and what fits by a rule alone; the same rows of the same unit are kept once.

    A row that stands in the unit several times is kept as often. What was set aside of the unit before, and does not
    come any more, is superseded.
    """
    seen: Counter[str] = Counter()
    cells = [*reading.misfits.iter_rows(named=True), *reading.mended.iter_rows(named=True)]
    rows = [_row(source, unit, each, seen) for each in cells]
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        await _put(connection, rows[begin : begin + ROWS_AT_ONCE])
    await _supersede(connection, source, unit, [str(row["cells_sha256"]) for row in rows])


def _row(source: str, unit: str, cells: dict[str, Any], seen: Counter[str]) -> dict[str, Any]:
    told = {name: cells.pop(name, None) for name in (CODE, REASON, RULE)}
    became = {"closed_at": None, "outcome": None} if told[RULE] is None else _stored_now()
    return {"source": source, "unit": unit, "cells": cells, "cells_sha256": _sha256(cells, seen), **told, **became}


def _stored_now() -> dict[str, object]:
    return {"closed_at": datetime.now(UTC), "outcome": "stored"}


async def _put(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    statement = insert(quarantine)
    old, fresh = quarantine.c, statement.excluded
    other = tuple_(old.outcome, old.rule).is_distinct_from(tuple_(fresh.outcome, fresh.rule))
    await connection.execute(
        statement.on_conflict_do_update(index_elements=_KEY, set_={name: fresh[name] for name in _TOLD}, where=other),
        rows,
    )


async def _supersede(connection: AsyncConnection, source: str, unit: str, kept: Sequence[str]) -> None:
    row = quarantine.c
    gone = (row.source == source) & (row.unit == unit) & (row.cells_sha256 != all_(literal(kept, ARRAY(Text))))
    await connection.execute(
        update(quarantine).where(gone, row.closed_at.is_(None)).values(closed_at=func.now(), outcome="superseded")
    )


def _sha256(cells: Mapping[str, str | None], seen: Counter[str]) -> str:
    text = json.dumps(cells, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    seen[digest] += 1
    return digest if seen[digest] == 1 else hashlib.sha256(f"{text} {seen[digest]}".encode()).hexdigest()
