"""`ondeck models list --target`: what a running server knows."""

import click
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from ondeck_cli.remote import asking
from ondeck_cli.server_options import ServerAddress
from ondeck_client import Model, ModelState

_PREFIX = "MODEL_STATE_"


def tell_running(server: ServerAddress, *, as_json: bool) -> None:
    """Print the models of a running server: versions, states, and how each was judged."""
    with asking(server) as client:
        found = client.models()
    if as_json:
        Console(soft_wrap=True).print_json(
            data=[MessageToDict(each, preserving_proto_field_name=True) for each in found]
        )
    else:
        Console(width=112, highlight=False).print(_table(found))
        for each in found:
            if each.state_reason:
                click.echo(f"{each.name} {each.version} {_state(each)}: {each.state_reason}")


def _table(found: list[Model]) -> Table:
    table = Table()
    for column in ("model", "version", "state", "aliases", "judged on", "log loss", "of a constant"):
        table.add_column(column, no_wrap=True)
    for each in found:
        judged = each.evaluation.evaluation_window
        table.add_row(
            each.name,
            str(each.version),
            _state(each),
            ", ".join(each.aliases),
            f"{judged.first_day} to {judged.last_day}" if each.HasField("evaluation") else "",
            _log_loss(each, "model"),
            _log_loss(each, "constant"),
        )
    return table


def _state(model: Model) -> str:
    return ModelState.Name(model.state).removeprefix(_PREFIX).lower()


def _log_loss(model: Model, predictor: str) -> str:
    found = [
        each.log_loss for each in model.evaluation.scores if (each.question, each.predictor) == ("outcomes", predictor)
    ]
    return f"{found[0]:.4f}" if found else ""
