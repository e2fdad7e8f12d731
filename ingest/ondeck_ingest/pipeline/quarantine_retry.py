"""A second look at rows that were set aside: those that fit after all, by a rule or as they are, are stored."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final

import polars as pl
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ondeck_core.errors import SourceRefusedError
from ondeck_core.statcast.parse import AS_IT_CAME, RULE, CorrectionRule, ParseResult, read_cells
from ondeck_core.statcast.row_checks import REPEATED_KEY
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, as_simulated, counted, entry_of, rules_that_hold
from ondeck_store.ingest.ledger import record
from ondeck_store.ingest.quarantined_rows import QuarantinedRow, QuarantineFilter, close, set_aside
from ondeck_store.pitches.upsert import upsert_pitches

SOURCE: Final = "quarantine"


async def retake(engine: AsyncEngine, which: QuarantineFilter) -> LoadCounts:
    """Look again at rows that are set aside, each beside those of its unit; all or nothing.

    A row whose key another has stays set aside: alone it would take the place of the one that is stored. It is judged
    when its unit comes again.

    Raises:
        SourceRefusedError: a row contradicts what is stored; everything is as it was.
    """
    rules = await rules_that_hold(engine)
    try:
        async with engine.begin() as connection:
            meant = [each for each in await set_aside(connection, which) if each.outcome is None]
            rows = [each for each in meant if each.code != REPEATED_KEY]
            left = LoadCounts(rows_in=len(meant) - len(rows), quarantined=len(meant) - len(rows))
            taken = [
                await _retake_unit(connection, list(unit), rules) for _, unit in groupby(_in_order(rows), _unit_of)
            ]
            total, games = sum((each for each, _ in taken), left), sum(games for _, games in taken)
            run = IngestUnit(source=SOURCE, name=datetime.now(UTC).isoformat(timespec="milliseconds"))
            await record(connection, entry_of(run, total, games))
    except IntegrityError as clash:
        raise SourceRefusedError(f"a row contradicts what is stored: {clash.orig}") from clash
    return total


async def _retake_unit(
    connection: AsyncConnection, rows: Sequence[QuarantinedRow], rules: Sequence[CorrectionRule]
) -> tuple[LoadCounts, int]:
    """Take what fits of a unit; tells what became of its rows, and of how many games they are."""
    reading, fits = await asyncio.to_thread(_read, rows, rules)
    simulated = rows[0].simulated
    pitches = as_simulated(reading.rows) if simulated else reading.rows
    upserted = await upsert_pitches(connection, pitches, simulated=simulated, untold=reading.untold)
    await close(connection, fits)
    return counted(reading, upserted), pitches["game_pk"].n_unique()


def _read(rows: Sequence[QuarantinedRow], rules: Sequence[CorrectionRule]) -> tuple[ParseResult, dict[int, int | None]]:
    """Read rows of one unit; tells for those that fit, by their numbers, the rule that made them."""
    names = {name: name.removesuffix(AS_IT_CAME) for row in rows for name in row.cells}
    cells = pl.DataFrame(
        [{names[name]: text for name, text in row.cells.items()} for row in rows],
        schema=dict.fromkeys(names.values(), pl.String),
    )
    reading = read_cells(cells, rules)
    unfit, by_rule = set(reading.misfits_at), dict(zip(reading.mended_at, _rules_of(reading), strict=True))
    return reading, {row.id: by_rule.get(at) for at, row in enumerate(rows) if at not in unfit}


def _rules_of(reading: ParseResult) -> list[int]:
    return reading.mended[RULE].to_list() if reading.mended.height else []


def _unit_of(row: QuarantinedRow) -> tuple[str, str]:
    return row.source, row.unit


def _in_order(rows: Sequence[QuarantinedRow]) -> list[QuarantinedRow]:
    return sorted(rows, key=lambda row: (*_unit_of(row), row.id))
