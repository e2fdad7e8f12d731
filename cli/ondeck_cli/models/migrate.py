"""`ondeck models migrate`: bring a repository of an older format to the present one."""

import click

from ondeck_cli.models.options import repository_of, shelved
from ondeck_registry.migrate_format import migrate_repository


@click.command()
@shelved
def migrate(**flags: object) -> None:
    """Rename the keys of manifests, evaluations and alias logs; graphs and all values stay as they are."""
    changed = migrate_repository(repository_of(flags))
    for each in changed:
        click.echo(f"migrated {each}")
    if not changed:
        click.echo("nothing to migrate")
