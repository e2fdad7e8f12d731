"""`ondeck models history`: every move of an alias, as the audit has it."""

import json

import click
from rich.console import Console
from rich.table import Table

from ondeck_cli.models.options import line_named, repository_of, shelved
from ondeck_registry.alias_log import AliasChange
from ondeck_registry.alias_log import history as moves_of


@click.command()
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@shelved
def history(model: str, *, as_json: bool, **flags: object) -> None:
    """Tell which version of MODEL had which alias when, by whom and why; the newest last."""
    repository = repository_of(flags)
    name = line_named(repository, model).model
    moves = moves_of(repository, name)
    if as_json:
        click.echo(json.dumps([each.model_dump(mode="json") for each in moves], indent=2))
    elif moves:
        Console(highlight=False).print(_table(moves))
    else:
        click.echo(f"{name}: no move of an alias is on record")


def _table(moves: tuple[AliasChange, ...]) -> Table:
    table = Table()
    for column in ("moved at (UTC)", "actor", "alias", "from", "to", "how", "reason"):
        table.add_column(column, overflow="fold")
    for each in moves:
        before = "" if each.from_version is None else str(each.from_version)
        table.add_row(
            f"{each.moved_at:%Y-%m-%d %H:%M}",
            each.actor,
            each.alias,
            before,
            str(each.to_version),
            _how(each),
            each.reason,
        )
    return table


def _how(move: AliasChange) -> str:
    return "rollback" if move.rollback else "forced" if move.forced else ""
