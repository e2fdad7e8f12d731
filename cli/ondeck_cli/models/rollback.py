"""`ondeck models rollback`: point an alias to its previous version."""

import click

from ondeck_cli.models.common import REASON, describe_change, new_decision
from ondeck_cli.models.options import line_named, repository_of, shelved
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry import promotion


@click.command()
@click.argument("model")
@click.option("--alias", default=PRODUCTION, show_default=True, help="Alias to roll back.")
@REASON
@shelved
def rollback(model: str, *, alias: str, reason: str, **flags: object) -> None:
    """Put the previous version of MODEL back into production; each further call goes back one more version.

    Exit code 1: there is no previous version, or it fails verification.
    """
    repository = repository_of(flags)
    name = line_named(repository, model).model
    decision = new_decision(reason.strip() or "rolled back")
    click.echo(describe_change(promotion.roll_back(repository, name, canonical(alias), decision)))
