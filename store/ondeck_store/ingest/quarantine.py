"""The quarantine of rejected rows, each as it came and with its reason, and the correction rules for them."""

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import polars as pl
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    all_,
    any_,
    func,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError
from ondeck_core.statcast.parse import RULE, CorrectionRule, ParseResult
from ondeck_core.statcast.row_checks import CODE, REASON, REPEATED_KEY
from ondeck_core.statcast.schema import KEY
from ondeck_store.tables.ingest import ingest_ledger, quarantine, quarantine_rules

BATCH_ROWS: Final = 2048
_KEY: Final = ("source", "unit", "cells_sha256")
_UPDATED: Final = (CODE, REASON, "closed_at", "outcome", RULE)
_INTERNAL: Final = {"cells_sha256", *KEY}
_IS_OPEN: Final = quarantine.c.closed_at.is_(None)
_NO_KEY: Final = dict.fromkeys(KEY)


@dataclass(frozen=True, kw_only=True)
class QuarantinedRow:
    """A quarantined row: its `cells` as they came, text by column name; `rule` is the number of the applied rule."""

    id: int
    source: str
    unit: str
    code: str
    reason: str
    quarantined_at: datetime
    cells: Mapping[str, str | None]
    closed_at: datetime | None
    outcome: Literal["stored", "superseded", "dismissed"] | None
    rule: int | None
    dismissed_by: str | None
    dismissed_reason: str | None
    simulated: bool


@dataclass(frozen=True, kw_only=True)
class QuarantineFilter:
    """Selects rows; an empty field does not restrict. Closed rows are selected by id, or with `closed`."""

    ids: Collection[int] = ()
    code: str | None = None
    unit: str | None = None
    closed: bool = False


@dataclass(frozen=True, kw_only=True)
class NewCorrectionRule:
    """Replaces cells of a rejected row: one that has all texts of `cells` gets those of `replacement`, by column."""

    created_by: str
    reason: str
    cells: Mapping[str, str]
    replacement: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RecordedCorrectionRule(NewCorrectionRule):
    """A rule as stored; it is active while `revoked_at` is None."""

    number: int
    created_at: datetime
    revoked_at: datetime | None


async def quarantine_rejected(connection: AsyncConnection, *, source: str, unit: str, reading: ParseResult) -> None:
    """Store the rejected rows of a unit, and as closed the rows that a rule corrected.

    Loading a unit again adds no duplicates, but a row that the unit has several times is stored as often. Open rows of
    the unit that it no longer has are superseded.
    """
    seen: Counter[str] = Counter()
    keys = [*reading.rejected_keys.iter_rows(named=True), *({} for _ in range(reading.corrected.height))]
    cells = [*reading.rejected.iter_rows(named=True), *reading.corrected.iter_rows(named=True)]
    rows = [_make_row(source, unit, each, seen) | _NO_KEY | key for each, key in zip(cells, keys, strict=True)]
    for begin in range(0, len(rows), BATCH_ROWS):
        await _upsert(connection, rows[begin : begin + BATCH_ROWS])
    await _supersede(connection, source, unit, [str(row["cells_sha256"]) for row in rows])


async def find_rows(
    connection: AsyncConnection, which: QuarantineFilter, limit: int | None = None
) -> list[QuarantinedRow]:
    """List quarantined rows, oldest first."""
    query = _select_rows(which).order_by(quarantine.c.id).limit(limit)
    return [QuarantinedRow(**row) for row in (await connection.execute(query)).mappings()]


async def count_open(connection: AsyncConnection) -> dict[str, int]:
    """Count the open rows by code."""
    query = select(quarantine.c.code, func.count().label("rows")).where(_IS_OPEN).group_by(quarantine.c.code)
    return {row.code: row.rows for row in await connection.execute(query.order_by(quarantine.c.code))}


async def mark_stored(connection: AsyncConnection, rules: Mapping[int, int | None]) -> None:
    """Close rows as stored; `rules` has the number of the applied rule, or None, by the id of the row."""
    for number in set(rules.values()):
        ids = [id_ for id_, rule in rules.items() if rule == number]
        await _close(connection, ids, outcome="stored", rule=number)


async def supersede_stored(connection: AsyncConnection, pitches: pl.DataFrame) -> None:
    """Close the open rows whose pitch is among `pitches`, which came whole.

    A row with a repeated key stays open: its pitch always came, and which of the two rows is right is undecided.
    """
    keys, games = [quarantine.c[name] for name in KEY], pitches["game_pk"].unique().to_list()
    is_candidate = (keys[0] == any_(literal(games, ARRAY(Integer)))) & (quarantine.c.code != REPEATED_KEY)
    rows = (await connection.execute(select(quarantine.c.id, *keys).where(_IS_OPEN, is_candidate))).all()
    if not rows:
        return
    candidates = pl.DataFrame(rows, schema={"id": pl.Int64, **dict.fromkeys(KEY, pl.Int32)}, orient="row")
    await _close(connection, candidates.join(pitches, on=KEY, how="semi")["id"].to_list(), outcome="superseded")


async def dismiss_rows(connection: AsyncConnection, ids: Sequence[int], *, actor: str, reason: str) -> int:
    """Close open rows that a person decided not to store; returns their number."""
    return await _close(connection, ids, outcome="dismissed", dismissed_by=actor, dismissed_reason=reason)


async def _close(connection: AsyncConnection, ids: Sequence[int], **values: object) -> int:
    chosen = quarantine.c.id == any_(literal(ids, ARRAY(BigInteger)))
    closed = await connection.execute(update(quarantine).where(chosen, _IS_OPEN).values(closed_at=func.now(), **values))
    return closed.rowcount


async def add_rule(connection: AsyncConnection, rule: NewCorrectionRule) -> int:
    """Store a rule; returns its number."""
    added = insert(quarantine_rules).values(asdict(rule)).returning(quarantine_rules.c.number)
    number: int = (await connection.execute(added)).scalar_one()
    return number


async def revoke_rule(connection: AsyncConnection, number: int) -> None:
    """Revoke a rule; rows that it corrected stay as they are until their unit is loaded again.

    Raises:
        NotFoundError: no active rule has this number.
    """
    rule = quarantine_rules.c
    is_active = (rule.number == number) & rule.revoked_at.is_(None)
    revoked = await connection.execute(update(quarantine_rules).where(is_active).values(revoked_at=func.now()))
    if not revoked.rowcount:
        raise NotFoundError("rule", str(number), [str(each.number) for each in await active_rules(connection)])


async def active_rules(connection: AsyncConnection) -> list[CorrectionRule]:
    """Read the active rules, oldest first."""
    rules = [each for each in await all_rules(connection) if each.revoked_at is None]
    return [CorrectionRule(number=each.number, cells=each.cells, replacement=each.replacement) for each in rules]


async def all_rules(connection: AsyncConnection) -> list[RecordedCorrectionRule]:
    """Read all rules, revoked ones included, oldest first."""
    found = await connection.execute(select(quarantine_rules).order_by(quarantine_rules.c.number))
    return [RecordedCorrectionRule(**row) for row in found.mappings()]


def _make_row(source: str, unit: str, cells: dict[str, Any], seen: Counter[str]) -> dict[str, Any]:
    verdict = {name: cells.pop(name, None) for name in (CODE, REASON, RULE)}
    is_corrected = verdict[RULE] is not None
    return {
        "source": source,
        "unit": unit,
        "cells": cells,
        "cells_sha256": _digest(cells, seen),
        **verdict,
        "closed_at": datetime.now(UTC) if is_corrected else None,
        "outcome": "stored" if is_corrected else None,
    }


def _digest(cells: Mapping[str, str | None], seen: Counter[str]) -> str:
    text = json.dumps(cells, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    seen[digest] += 1
    return digest if seen[digest] == 1 else hashlib.sha256(f"{text} {seen[digest]}".encode()).hexdigest()


async def _upsert(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    statement = insert(quarantine)
    old, new = quarantine.c, statement.excluded
    is_dismissed = old.outcome.is_not_distinct_from("dismissed")
    has_changed = ~is_dismissed & tuple_(old.outcome, old.rule).is_distinct_from(tuple_(new.outcome, new.rule))
    changes = {name: new[name] for name in _UPDATED}
    await connection.execute(
        statement.on_conflict_do_update(index_elements=_KEY, set_=changes, where=has_changed), rows
    )


async def _supersede(connection: AsyncConnection, source: str, unit: str, kept: Sequence[str]) -> None:
    row = quarantine.c
    is_gone = (row.source == source) & (row.unit == unit) & (row.cells_sha256 != all_(literal(kept, ARRAY(Text))))
    await connection.execute(
        update(quarantine).where(is_gone, _IS_OPEN).values(closed_at=func.now(), outcome="superseded")
    )


def _select_rows(which: QuarantineFilter) -> Select[Any]:
    unit = (ingest_ledger.c.source == quarantine.c.source) & (ingest_ledger.c.unit == quarantine.c.unit)
    columns = [column for column in quarantine.c if column.name not in _INTERNAL]
    simulated = func.coalesce(ingest_ledger.c.simulated, False).label("simulated")
    return select(*columns, simulated).outerjoin(ingest_ledger, unit).where(*_conditions(which))


def _conditions(which: QuarantineFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [] if which.closed or which.ids else [_IS_OPEN]
    if which.ids:
        conditions.append(quarantine.c.id == any_(literal(list(which.ids), ARRAY(BigInteger))))
    if which.code is not None:
        conditions.append(quarantine.c.code == which.code)
    if which.unit is not None:
        conditions.append(quarantine.c.unit == which.unit)
    return conditions
