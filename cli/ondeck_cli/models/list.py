"""`ondeck models list`: of the repository's folder, or of a running server."""

import click
from rich.console import Console
from rich.table import Table

from ondeck_cli.models.options import leading_nowhere, repository_of, shelved
from ondeck_cli.models.registry_view import VersionListing, as_data, on_the_shelf
from ondeck_cli.server_options import secured, server_of
from ondeck_registry.repository import read_repository


@click.command("list")
@click.option("--target", help="Ask this server, as host:port, what it has loaded; default: read the folder.")
@secured
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
@shelved
def list_(target: str | None, *, as_json: bool, **flags: object) -> None:
    """List the versions of the repository and how each was judged, or those of a running server and their states."""
    if target is None:
        if any(flags[name] is not None for name in ("ca", "certificate", "key")):
            raise click.UsageError("--ca, --certificate and --key secure a connection; they need --target")
        _tell_folder(flags, as_json=as_json)
    elif flags["model_repository"] is not None:
        raise click.UsageError("--model-repository reads a folder, --target asks a server; give one of them")
    else:
        from ondeck_cli.models.remote_list import tell_running  # noqa: PLC0415  a folder is read without gRPC

        tell_running(server_of(target, flags), as_json=as_json)


def _tell_folder(flags: dict[str, object], *, as_json: bool) -> None:
    repository = repository_of({"model_repository": flags["model_repository"]})
    lines = read_repository(repository)
    found = [each for line in lines for each in on_the_shelf(repository, line)]
    if as_json:
        Console(soft_wrap=True).print_json(data=[as_data(each) for each in found])
        return
    Console(width=120, highlight=False).print(_table(found))
    for each in found:
        if each.reason:
            click.echo(f"{each.model} {each.version} cannot be read: {each.reason}")
    for line in lines:
        click.echo("".join(f"{told}\n" for told in leading_nowhere(line)), nl=False)


def _table(found: list[VersionListing]) -> Table:
    table = Table()
    for column in ("model", "version", "aliases", "created", "judged on", "log loss", "constant", "graph"):
        table.add_column(column, no_wrap=True)
    for each in found:
        table.add_row(
            each.model,
            str(each.version),
            ", ".join(each.aliases),
            f"{each.manifest.created:%Y-%m-%d}" if each.manifest else "",
            str(each.evaluation.evaluation_window) if each.evaluation else "",
            _figure(each.log_loss("model")),
            _figure(each.log_loss("constant")),
            "" if each.graph_bytes is None else f"{each.graph_bytes / 1e6:.1f} MB",
        )
    return table


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
