"""`ondeck predict`: one prediction, printed as text."""

from typing import Final

import click

from ondeck_cli.remote import answered_by
from ondeck_cli.task_command import Instance, Options, TaskCall, TaskGroup
from ondeck_client import Client, Prediction
from ondeck_core.tasks import Task

UNITS: Final = {"edge_distance": "ft"}


def _call(client: Client, task: Task, instance: Instance, options: Options) -> Prediction:
    return client.predict(task.name, instance, version=options["version"], alias=options["alias"])


def _print(_: Task, prediction: Prediction) -> None:
    click.echo(format_prediction(prediction))


predict = TaskGroup(
    TaskCall(call=_call, print=_print), name="predict", help="Request a prediction for one instance from a server."
)


def format_prediction(prediction: Prediction) -> str:
    """Return a prediction as text: outcomes, derived statistics, uncertainty, and the version that made it."""
    kind = prediction.WhichOneof("derived_stats")
    derived = getattr(prediction, kind).ListFields() if kind else []
    rows = [(each.outcome, f"{each.probability:.3f}") for each in prediction.outcomes]
    rows += [("", "")]
    rows += [(field.name, f"{value:.3f} {UNITS.get(field.name, '')}".rstrip()) for field, value in derived]
    rows += [(f"{each.coverage:.0%} set", ", ".join(each.outcomes) or "none") for each in prediction.prediction_sets]
    rows += [("confidence", f"{prediction.confidence:.3f}"), ("ensemble spread", f"{prediction.ensemble_spread:.3f}")]
    width = max(len(name) for name, _ in rows) + 2
    lines = [f"{name:<{width}}{value}".rstrip() for name, value in rows]
    return "\n".join([*lines, "", answered_by(prediction)])
