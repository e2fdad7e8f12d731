"""`ondeck models promote`, `rollback` and `history`: change the aliases of a model, and show their log."""

import json
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ondeck_cli.models.repository_lookup import find_model, repository_of, repository_option
from ondeck_core.manifest import PRODUCTION
from ondeck_core.model_name_normalization import canonical
from ondeck_registry import alias_log, promotion
from ondeck_registry.alias_log import AliasChange, login_name
from ondeck_registry.aliases import AliasDecision
from ondeck_runtime.logging import printable

REASON: Final = click.option("--reason", default="", help="Recorded in the alias log.")


@click.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@click.option("--alias", default=PRODUCTION, show_default=True, help="Alias to set; only production is gated.")
@click.option("--force", is_flag=True, help="Override the gate; needs --reason.")
@REASON
@repository_option
def promote(model: str, version: int, *, alias: str, force: bool, reason: str, **flags: object) -> None:
    """Put VERSION of MODEL into production.

    It must pass verification, have a lower log loss than the version in production on the same days, and an ECE that
    is not higher. --force overrides the gate, never the verification. Exit code 1: it is not promoted.
    """
    if force and not reason.strip():
        raise click.UsageError("--force needs --reason")
    repository = repository_of(flags)
    name, alias = find_model(repository, model).model, canonical(alias)
    decision = new_decision(reason.strip() or "promoted", forced=force)
    change = promotion.promote(repository, name, alias, version, decision)
    click.echo(_describe(change) if change else f"{name}: {alias} is version {version} already")


@click.command()
@click.argument("model")
@click.option("--alias", default=PRODUCTION, show_default=True, help="Alias to roll back.")
@REASON
@repository_option
def rollback(model: str, *, alias: str, reason: str, **flags: object) -> None:
    """Put the previous version of MODEL back into production; each further call goes back one more version.

    Exit code 1: there is no previous version, or it fails verification.
    """
    repository = repository_of(flags)
    name = find_model(repository, model).model
    decision = new_decision(reason.strip() or "rolled back")
    click.echo(_describe(promotion.roll_back(repository, name, canonical(alias), decision)))


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print the log as JSON.")
@repository_option
def history(model: str, *, as_json: bool, **flags: object) -> None:
    """Show every alias change of MODEL with its time, actor and reason, oldest first."""
    repository = repository_of(flags)
    name = find_model(repository, model).model
    changes = alias_log.history(repository, name)
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in changes], indent=2))
    elif changes:
        Console(highlight=False).print(_table(changes))
    else:
        click.echo(f"{name}: the alias log is empty")


def new_decision(reason: str, *, forced: bool = False) -> AliasDecision:
    """Return a decision of the current user, made now."""
    return AliasDecision(actor=login_name(), reason=reason, at=datetime.now(UTC), forced=forced)


def _describe(change: AliasChange) -> str:
    before = "" if change.from_version is None else f", was {change.from_version}"
    return f"{change.model}: {change.alias} is version {change.to_version}{before} ({printable(change.reason)})"


def _table(changes: tuple[AliasChange, ...]) -> Table:
    table = Table()
    for column in ("moved at (UTC)", "actor", "alias", "from", "to", "how", "reason"):
        table.add_column(column, overflow="fold")
    for each in changes:
        table.add_row(
            f"{each.moved_at:%Y-%m-%d %H:%M}",
            Text(printable(each.actor)),
            each.alias,
            "" if each.from_version is None else str(each.from_version),
            str(each.to_version),
            "rollback" if each.rollback else "forced" if each.forced else "",
            Text(printable(each.reason)),
        )
    return table
