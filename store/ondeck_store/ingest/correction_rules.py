"""Rules for rows that are set aside: decided by hand, with who and why; never changed, but taken back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError
from ondeck_core.statcast.parse import CorrectionRule
from ondeck_store.tables.ingest import quarantine_rules


@dataclass(frozen=True, kw_only=True)
class NewCorrectionRule:
    """Where a row that was set aside says all of `cells`, it is to say `instead`; texts by column name."""

    who: str
    why: str
    cells: Mapping[str, str]
    instead: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RecordedCorrectionRule(NewCorrectionRule):
    """A rule as it was recorded; `taken_back_at` None: it holds."""

    number: int
    at: datetime
    taken_back_at: datetime | None


async def add_rule(connection: AsyncConnection, rule: NewCorrectionRule) -> int:
    """Record a rule; returns its number."""
    added = insert(quarantine_rules).values(asdict(rule)).returning(quarantine_rules.c.number)
    number: int = (await connection.execute(added)).scalar_one()
    return number


async def take_back_rule(connection: AsyncConnection, number: int) -> None:
    """Have a rule hold no longer; what it has mended stays as it is until its unit comes again.

    Raises:
        NotFoundError: no such rule holds.
    """
    rule = quarantine_rules.c
    meant = (rule.number == number) & rule.taken_back_at.is_(None)
    done = await connection.execute(update(quarantine_rules).where(meant).values(taken_back_at=func.now()))
    if not done.rowcount:
        raise NotFoundError("rule", str(number), [str(each.number) for each in await standing_rules(connection)])


async def standing_rules(connection: AsyncConnection) -> list[CorrectionRule]:
    """Read the rules that hold, in the order in which they were made."""
    rules = [each for each in await all_rules(connection) if each.taken_back_at is None]
    return [CorrectionRule(number=each.number, cells=each.cells, instead=each.instead) for each in rules]


async def all_rules(connection: AsyncConnection) -> list[RecordedCorrectionRule]:
    """Read every rule there has been."""
    found = await connection.execute(select(quarantine_rules).order_by(quarantine_rules.c.number))
    return [RecordedCorrectionRule(**row) for row in found.mappings()]
