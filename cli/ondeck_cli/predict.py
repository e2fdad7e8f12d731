"""`ondeck predict`: one instance, asked by a person."""

from typing import Final

import click

from ondeck_cli.answered_by import answered_by
from ondeck_cli.task_command import Given, Instance, TaskGroup, TaskQuery
from ondeck_client import Client, Prediction
from ondeck_core.tasks import Task

UNITS: Final = {"edge_distance": "ft"}


def _ask(client: Client, task: Task, instance: Instance, given: Given) -> Prediction:
    return client.predict(task.name, instance, version=given["version"], alias=given["alias"])


def _tell(_: Task, prediction: Prediction) -> None:
    click.echo(laid_out(prediction))


predict = TaskGroup(TaskQuery(ask=_ask, tell=_tell), name="predict", help="Ask a running server about one instance.")


def laid_out(prediction: Prediction) -> str:
    """Lay an answer out for a person: outcomes, figures, and what gave it."""
    figures = prediction.WhichOneof("derived_stats")
    derived = getattr(prediction, figures).ListFields() if figures else []
    lines = [(each.outcome, f"{each.probability:.3f}") for each in prediction.outcomes]
    lines += [("", "")]
    lines += [(field.name, f"{value:.3f} {UNITS.get(field.name, '')}".rstrip()) for field, value in derived]
    lines += [(f"{each.coverage:.0%} set", ", ".join(each.outcomes) or "none") for each in prediction.prediction_sets]
    lines += [("confidence", f"{prediction.confidence:.3f}"), ("ensemble spread", f"{prediction.ensemble_spread:.3f}")]
    width = max(len(name) for name, _ in lines) + 2
    told = [f"{name:<{width}}{value}".rstrip() for name, value in lines]
    return "\n".join([*told, "", answered_by(prediction)])
