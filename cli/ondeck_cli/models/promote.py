"""`ondeck models promote`: point an alias to a version that passes verification and the gate."""

import click

from ondeck_cli.models.common import REASON, describe_change, new_decision
from ondeck_cli.models.options import line_named, repository_of, shelved
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry import promotion


@click.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@click.option("--alias", default=PRODUCTION, show_default=True, help="Alias to set; only production is gated.")
@click.option("--force", is_flag=True, help="Override the gate; needs --reason.")
@REASON
@shelved
def promote(model: str, version: int, *, alias: str, force: bool, reason: str, **flags: object) -> None:
    """Put VERSION of MODEL into production.

    It must pass verification, have a lower log loss than the version in production on the same days, and an ECE that
    is not higher. --force overrides the gate, never the verification. Exit code 1: it is not promoted.
    """
    if force and not reason.strip():
        raise click.UsageError("--force needs --reason")
    repository = repository_of(flags)
    name, alias = line_named(repository, model).model, canonical(alias)
    decision = new_decision(reason.strip() or "promoted", forced=force)
    change = promotion.promote(repository, name, alias, version, decision)
    click.echo(describe_change(change) if change else f"{name}: {alias} is version {version} already")
