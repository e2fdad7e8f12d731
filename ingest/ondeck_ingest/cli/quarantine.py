"""`ondeck ingest quarantine`: what is set aside, why, and a second look at it."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError
from ondeck_core.statcast.schema import KEY, NAMES
from ondeck_ingest.cli.options import stored
from ondeck_ingest.cli.tables import listed
from ondeck_ingest.database import migrated, within
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.pipeline.quarantine_retry import retake
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.settings import read_settings
from ondeck_store.ingest.correction_rules import NewCorrectionRule, add_rule, all_rules, take_back_rule
from ondeck_store.ingest.quarantined_rows import QuarantinedRow, QuarantineFilter, set_aside

_CODE: Final = click.option("--code", help="Only rows set aside with this code, for example out_of_range.")
_NUMBER: Final = click.IntRange(1, 2**62)  # PostgreSQL's integers have 63 bits
T = TypeVar("T")
_UNIT: Final = click.option("--unit", help="Only rows of this day or file, as the list names it.")


class CellParam(click.ParamType[tuple[str, str]]):
    """COLUMN=TEXT; an empty text is nothing."""

    name = "column=text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:  # noqa: ANN401  click's signature
        """Part a column from its text."""
        if isinstance(value, tuple):
            return value
        column, equals, text = str(value).partition("=")
        if not equals or not column.strip():
            self.fail(f"{value!r} is not COLUMN=TEXT, for example balls=3", param, ctx)
        return column.strip(), text.strip()


@click.group()
def quarantine() -> None:
    """Rows that did not fit: listed, shown, mended by rule, retried. None is ever dropped or guessed."""


@quarantine.command("list")
@_CODE
@_UNIT
@click.option("--closed", is_flag=True, help="Also rows that were stored after all, or superseded.")
@click.option("--limit", type=_NUMBER, default=50, show_default=True, help="At most so many rows.")
@stored
def list_(*, code: str | None, unit: str | None, closed: bool, limit: int, **flags: object) -> None:
    """List rows that are set aside, the oldest first."""
    which = QuarantineFilter(code=code, unit=unit, closed=closed)
    rows = _found(flags, lambda connection: set_aside(connection, which, limit + 1))
    shown = [
        (row.id, row.source, row.unit, row.code, row.reason, _key_of(row.cells), _became(row)) for row in rows[:limit]
    ]
    columns = ("id", "source", "unit", "code", "reason", "game / at-bat / pitch", "became of it")
    Console(highlight=False).print(listed("set aside", columns, shown))
    if len(rows) > limit:
        click.echo(f"there are more than {limit}; --limit shows them")


@quarantine.command()
@click.argument("id_", metavar="ID", type=_NUMBER)
@stored
def show(id_: int, **flags: object) -> None:
    """Show one row as it came, cell by cell; the offending column is marked."""
    rows = _found(flags, lambda connection: set_aside(connection, QuarantineFilter(ids=[id_])))
    if not rows:
        raise NotFoundError("row in quarantine", str(id_))
    (row,) = rows
    click.echo(f"{row.source} {row.unit}, set aside {row.at:%Y-%m-%d %H:%M} UTC")
    click.echo(f"{row.code}: {row.reason}" + (f"; {_became(row)}" if row.outcome else ""))
    at_fault = row.reason.partition(":")[0]
    for name in sorted(row.cells, key=_as_in_an_export):
        if row.cells[name] is not None or name == at_fault:
            click.echo(f"{'>' if name == at_fault else ' '} {name}: {row.cells[name] or ''}")


@quarantine.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=_NUMBER)
@_CODE
@_UNIT
@stored
def retry(ids: tuple[int, ...], code: str | None, unit: str | None, **flags: object) -> None:
    """Look again at rows that are set aside (default: all): those that fit by now, or by a rule, are stored."""
    click.echo(str(asyncio.run(_retaken(flags, QuarantineFilter(ids=ids, code=code, unit=unit)))))


@quarantine.group()
def rules() -> None:
    """Correction rules for quarantined rows: added, listed, revoked."""


@rules.command("add")
@click.option(
    "--where", "cells", type=CellParam(), multiple=True, required=True, help="COLUMN=TEXT that a row must say."
)
@click.option("--set", "instead", type=CellParam(), multiple=True, required=True, help="COLUMN=TEXT that it is to say.")
@click.option("--reason", required=True, help="Recorded with the rule.")
@stored
def add_(
    cells: tuple[tuple[str, str], ...], instead: tuple[tuple[str, str], ...], reason: str, **flags: object
) -> None:
    """Add a rule that corrects rejected rows; valid rows are never changed.

    The rule applies to later rows too. Run `ondeck ingest quarantine retry` for rows that are quarantined already.
    """
    new = NewCorrectionRule(who=getpass.getuser(), why=reason, cells=dict(cells), instead=dict(instead))
    number = _found(flags, lambda connection: add_rule(connection, new))
    click.echo(f"rule {number} added; apply it to quarantined rows: ondeck ingest quarantine retry")


@rules.command("list")
@stored
def list_rules(**flags: object) -> None:
    """List all rules, revoked ones included."""
    columns = ("number", "where", "set", "actor", "reason", "created", "revoked")
    shown = [
        (each.number, _said(each.cells), _said(each.instead), each.who, each.why, each.at, each.taken_back_at)
        for each in _found(flags, all_rules)
    ]
    Console(highlight=False).print(listed("rules", columns, shown))


@rules.command("revoke")
@click.argument("number", type=_NUMBER)
@stored
def revoke(number: int, **flags: object) -> None:
    """Revoke rule NUMBER; it is kept in the list."""
    _found(flags, lambda connection: take_back_rule(connection, number))
    click.echo(f"rule {number} revoked")


def _found(flags: Mapping[str, object], work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    return asyncio.run(within(read_settings(IngestSettings, **flags), work))


async def _retaken(flags: Mapping[str, object], which: QuarantineFilter) -> LoadCounts:
    async with migrated(read_settings(IngestSettings, **flags)) as database:
        return await retake(database.engine, which)


def _key_of(cells: Mapping[str, str | None]) -> str:
    return " / ".join(cells.get(name) or "?" for name in KEY)


def _became(row: QuarantinedRow) -> str:
    by_rule = "" if row.rule is None else f" by rule {row.rule}"
    return "" if row.outcome is None else f"{row.outcome}{by_rule} {row.closed_at:%Y-%m-%d %H:%M}"


def _said(cells: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in cells.items())


def _as_in_an_export(name: str) -> tuple[int, str]:
    return (NAMES.index(name) if name in NAMES else len(NAMES)), name
