"""`ondeck models rollback`: what served before serves again."""

import click

from ondeck_cli.models.common import REASON, check_claims, decided, in_words
from ondeck_cli.models.options import line_named, repository_of, shelved
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.aliases import holding_aliases


@click.command()
@click.argument("model")
@click.option("--alias", default=PRODUCTION, show_default=True, help="Name to put back.")
@REASON
@shelved
def rollback(model: str, *, alias: str, reason: str, **flags: object) -> None:
    """Put back the version of MODEL that served before; once more, and it goes a step further back.

    Exit code 1: none served before, or it is no longer there, or does not hold what it claims.
    """
    repository = repository_of(flags)
    name, alias = line_named(repository, model).model, canonical(alias)
    with holding_aliases(repository, name) as held:
        check_claims(repository, name, held.before(alias))
        move = held.roll_back(alias, decided(reason.strip() or "rolled back"))
    click.echo(in_words(move))
