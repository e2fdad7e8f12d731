"""Retry quarantined rows: those that are valid by now, or after a correction rule, are stored."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

import polars as pl
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.parse import ORIGINAL_SUFFIX, RULE, CorrectionRule, ParseResult, parse_cells
from ondeck_core.statcast.row_checks import REPEATED_KEY
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, as_simulated, count_rows, make_entry, read_rules
from ondeck_store.ingest.ledger import record
from ondeck_store.ingest.quarantine import QuarantinedRow, QuarantineFilter, find_rows, mark_stored, supersede_stored
from ondeck_store.pitches.upsert import upsert_pitches

SOURCE: Final = "quarantine"


async def retry_quarantined(engine: AsyncEngine, which: QuarantineFilter) -> LoadCounts:
    """Parse quarantined rows again, unit by unit, in one transaction; returns the counts.

    A row with a repeated key stays in quarantine: alone it would replace the stored row. It is parsed again with its
    whole unit.

    Raises:
        SourceRefusedError: a row contradicts stored rows; the database is unchanged.
    """
    rules = await read_rules(engine)
    try:
        async with engine.begin() as connection:
            chosen = [each for each in await find_rows(connection, which) if each.outcome is None]
            rows = [each for each in chosen if each.code != REPEATED_KEY]
            repeated = len(chosen) - len(rows)
            retried = [
                await _retry_unit(connection, list(unit), rules) for _, unit in groupby(_by_unit(rows), _unit_of)
            ]
            total = sum((counts for counts, _ in retried), LoadCounts(rows_in=repeated, quarantined=repeated))
            run = IngestUnit(source=SOURCE, name=datetime.now(UTC).isoformat(timespec="milliseconds"))
            await record(connection, make_entry(run, total, sum(games for _, games in retried)))
    except IntegrityError as conflict:
        raise SourceRefusedError(f"a row contradicts what is stored: {conflict.orig}") from conflict
    return total


async def _retry_unit(
    connection: AsyncConnection, rows: Sequence[QuarantinedRow], rules: Sequence[CorrectionRule]
) -> tuple[LoadCounts, int]:
    """Store the valid rows of a unit; returns the counts and the number of games."""
    reading, valid = await asyncio.to_thread(_parse, rows, rules)
    simulated = rows[0].simulated
    pitches = as_simulated(reading.rows) if simulated else reading.rows
    upserted = await upsert_pitches(connection, pitches, simulated=simulated, absent=reading.absent)
    await mark_stored(connection, valid)
    await supersede_stored(connection, pitches)
    return count_rows(reading, upserted), pitches["game_pk"].n_unique()


def _parse(
    rows: Sequence[QuarantinedRow], rules: Sequence[CorrectionRule]
) -> tuple[ParseResult, dict[int, int | None]]:
    """Parse rows of one unit; returns the result, and the rule that corrected each valid row, by the id of the row."""
    names = {name: name.removesuffix(ORIGINAL_SUFFIX) for row in rows for name in row.cells}
    cells = pl.DataFrame(
        [{names[name]: text for name, text in row.cells.items()} for row in rows],
        schema=dict.fromkeys(names.values(), pl.String),
    )
    reading = parse_cells(cells, rules)
    rule_numbers = reading.corrected[RULE].to_list() if reading.corrected.height else []
    by_rule = dict(zip(reading.corrected_positions, rule_numbers, strict=True))
    rejected = set(reading.rejected_positions)
    return reading, {row.id: by_rule.get(at) for at, row in enumerate(rows) if at not in rejected}


def _unit_of(row: QuarantinedRow) -> tuple[str, str]:
    return row.source, row.unit


def _by_unit(rows: Sequence[QuarantinedRow]) -> list[QuarantinedRow]:
    return sorted(rows, key=lambda row: (*_unit_of(row), row.id))
