"""The commands of `ondeck ingest quarantine`: list, show and retry rejected rows, and manage correction rules."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError
from ondeck_core.statcast.schema import KEY, NAMES
from ondeck_ingest.cli.database_options import database_options
from ondeck_ingest.cli.tables import make_table
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.pipeline.quarantine_retry import retry_quarantined
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.logging import printable
from ondeck_runtime.settings import read_settings
from ondeck_store.ingest.quarantine import (
    NewCorrectionRule,
    QuarantinedRow,
    QuarantineFilter,
    add_rule,
    all_rules,
    dismiss_rows,
    find_rows,
    revoke_rule,
)
from ondeck_store.migrations import open_migrated, run_in_transaction
from ondeck_store.pitches.queries import read_unreadable_cells

_CODE: Final = click.option("--code", help="Only rows with this code, for example out_of_range.")
_NUMBER: Final = click.IntRange(1, 2**62)  # PostgreSQL's integers have 63 bits
T = TypeVar("T")
_UNIT: Final = click.option("--unit", help="Only rows of this day or file, named as in the list.")


class CellParam(click.ParamType[tuple[str, str]]):
    """COLUMN=TEXT; an empty text means no value."""

    name = "column=text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:  # noqa: ANN401  click's signature
        """Split a column from its text."""
        if isinstance(value, tuple):
            return value
        column, equals, text = str(value).partition("=")
        if not equals or not column.strip():
            self.fail(f"{value!r} is not COLUMN=TEXT, for example balls=3", param, ctx)
        return column.strip(), text.strip()


@click.group()
def quarantine() -> None:
    """Rejected rows: list, show, correct by rule, retry. No row is dropped or guessed."""


@quarantine.command("list")
@_CODE
@_UNIT
@click.option("--closed", is_flag=True, help="Also rows that were stored later, superseded or dismissed.")
@click.option("--limit", type=_NUMBER, default=50, show_default=True, help="Maximum number of rows.")
@database_options
def list_(*, code: str | None, unit: str | None, closed: bool, limit: int, **flags: object) -> None:
    """List quarantined rows, oldest first."""
    which = QuarantineFilter(code=code, unit=unit, closed=closed)
    rows = _run(flags, lambda connection: find_rows(connection, which, limit + 1))
    shown = [
        (row.id, row.source, row.unit, row.code, row.reason, _key_of(row.cells), _describe_outcome(row))
        for row in rows[:limit]
    ]
    columns = ("id", "source", "unit", "code", "reason", "game / at-bat / pitch", "outcome")
    Console(highlight=False).print(make_table("quarantined", columns, shown))
    if len(rows) > limit:
        click.echo(f"more than {limit} rows; --limit shows more")


@quarantine.command()
@click.option("--column", type=click.Choice(NAMES), metavar="COLUMN", help="Only cells of this column.")
@click.option("--limit", type=_NUMBER, default=50, show_default=True, help="Maximum number of cells.")
@database_options
def cells(*, column: str | None, limit: int, **flags: object) -> None:
    """List the cells of optional columns without which rows are stored, with their texts."""
    found = _run(flags, lambda connection: read_unreadable_cells(connection, column, limit + 1))
    shown = [
        (f"{cell.game_pk} / {cell.at_bat_number} / {cell.pitch_number}", cell.game_date, cell.column, cell.text)
        for cell in found[:limit]
    ]
    columns = ("game / at-bat / pitch", "day", "column", "text")
    Console(highlight=False).print(make_table("unreadable cells", columns, shown))
    if len(found) > limit:
        click.echo(f"more than {limit} cells; --limit shows more")


@quarantine.command()
@click.argument("id_", metavar="ID", type=_NUMBER)
@database_options
def show(id_: int, **flags: object) -> None:
    """Show one row as it came, cell by cell; the rejected column is marked."""
    rows = _run(flags, lambda connection: find_rows(connection, QuarantineFilter(ids=[id_])))
    if not rows:
        raise NotFoundError("quarantined row", str(id_))
    (row,) = rows
    click.echo(printable(f"{row.source} {row.unit}, quarantined {row.quarantined_at:%Y-%m-%d %H:%M} UTC"))
    click.echo(printable(f"{row.code}: {row.reason}" + (f"; {_describe_outcome(row)}" if row.outcome else "")))
    rejected = row.reason.partition(":")[0]
    for name in sorted(row.cells, key=_export_order):
        if row.cells[name] is not None or name == rejected:
            click.echo(printable(f"{'>' if name == rejected else ' '} {name}: {row.cells[name] or ''}"))


@quarantine.command()
@click.argument("ids", metavar="[ID]...", nargs=-1, type=_NUMBER)
@_CODE
@_UNIT
@database_options
def retry(ids: tuple[int, ...], code: str | None, unit: str | None, **flags: object) -> None:
    """Parse quarantined rows (default: all) again, and store those that are valid now or after a rule."""
    click.echo(str(asyncio.run(_retry(flags, QuarantineFilter(ids=ids, code=code, unit=unit)))))


@quarantine.command()
@click.argument("ids", metavar="ID...", nargs=-1, type=_NUMBER, required=True)
@click.option("--reason", required=True, help="Recorded with the rows.")
@database_options
def dismiss(ids: tuple[int, ...], reason: str, **flags: object) -> None:
    """Close rows that are not to be stored; they are kept, with the reason."""
    actor = getpass.getuser()
    count = _run(flags, lambda connection: dismiss_rows(connection, ids, actor=actor, reason=reason))
    click.echo(f"{count} of {len(ids)} rows dismissed" + ("" if count == len(ids) else "; the others are not open"))


@quarantine.group()
def rules() -> None:
    """Correction rules for rejected rows: add, list, revoke."""


@rules.command("add")
@click.option(
    "--where",
    "cells",
    type=CellParam(),
    multiple=True,
    required=True,
    help="Condition COLUMN=TEXT; a row must meet every one.",
)
@click.option("--set", "replacement", type=CellParam(), multiple=True, required=True, help="New value, as COLUMN=TEXT.")
@click.option("--reason", required=True, help="Recorded with the rule.")
@database_options
def add_(
    cells: tuple[tuple[str, str], ...], replacement: tuple[tuple[str, str], ...], reason: str, **flags: object
) -> None:
    """Add a rule that corrects rejected rows; valid rows are never changed.

    The rule applies to later rows too. Run `ondeck ingest quarantine retry` for rows that are quarantined already.
    """
    new = NewCorrectionRule(
        created_by=getpass.getuser(), reason=reason, cells=dict(cells), replacement=dict(replacement)
    )
    number = _run(flags, lambda connection: add_rule(connection, new))
    click.echo(f"rule {number} added; apply it to quarantined rows: ondeck ingest quarantine retry")


@rules.command("list")
@database_options
def list_rules(**flags: object) -> None:
    """List all rules, revoked ones included."""
    columns = ("number", "where", "set", "created by", "reason", "created", "revoked")
    shown = [
        (
            each.number,
            _join_cells(each.cells),
            _join_cells(each.replacement),
            each.created_by,
            each.reason,
            each.created_at,
            each.revoked_at,
        )
        for each in _run(flags, all_rules)
    ]
    Console(highlight=False).print(make_table("rules", columns, shown))


@rules.command("revoke")
@click.argument("number", type=_NUMBER)
@database_options
def revoke(number: int, **flags: object) -> None:
    """Revoke rule NUMBER; it is kept in the list."""
    _run(flags, lambda connection: revoke_rule(connection, number))
    click.echo(f"rule {number} revoked")


def _run(flags: Mapping[str, object], work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
    return asyncio.run(run_in_transaction(read_settings(IngestSettings, **flags), work))


async def _retry(flags: Mapping[str, object], which: QuarantineFilter) -> LoadCounts:
    async with open_migrated(read_settings(IngestSettings, **flags)) as database:
        return await retry_quarantined(database.engine, which)


def _key_of(cells: Mapping[str, str | None]) -> str:
    return " / ".join(cells.get(name) or "?" for name in KEY)


def _describe_outcome(row: QuarantinedRow) -> str:
    by_rule = "" if row.rule is None else f" by rule {row.rule}"
    by_person = "" if row.dismissed_by is None else f" by {row.dismissed_by} ({row.dismissed_reason})"
    return "" if row.outcome is None else f"{row.outcome}{by_rule}{by_person} {row.closed_at:%Y-%m-%d %H:%M}"


def _join_cells(cells: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={text}" for name, text in cells.items())


def _export_order(name: str) -> tuple[int, str]:
    return (NAMES.index(name) if name in NAMES else len(NAMES)), name
