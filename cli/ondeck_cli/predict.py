"""`ondeck predict`: one prediction, printed as text."""

import re
from typing import Final

import click

from ondeck_cli.remote import answered_by
from ondeck_cli.task_command import Instance, Options, TaskCall, TaskGroup
from ondeck_client import Client, PitchKey, Prediction
from ondeck_core.tasks import Task

UNITS: Final = {"edge_distance": "ft"}


def parse_pitch_key(_: click.Context, option: click.Parameter, text: str | None) -> PitchKey | None:
    """Return the key of a pitch, GAME_PK/AT_BAT_NUMBER/PITCH_NUMBER on the command line; None: none is given."""
    if text is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,8})/([1-9]\d{0,8})/([1-9]\d{0,8})", text)
    if found is None:
        raise click.BadParameter(f"{text!r} should be GAME_PK/AT_BAT_NUMBER/PITCH_NUMBER, as 746215/12/3", param=option)
    game, at_bat, pitch = map(int, found.groups())
    return PitchKey(game_pk=game, at_bat_number=at_bat, pitch_number=pitch)


PITCH_KEY: Final = click.Option(
    ["--pitch-key"],
    callback=parse_pitch_key,
    metavar="GAME_PK/AT_BAT_NUMBER/PITCH_NUMBER",
    help="The pitch, so that the server can compare the prediction with its outcome later.",
)


def _call(client: Client, task: Task, instance: Instance, options: Options) -> Prediction:
    chosen = {"version": options["version"], "alias": options["alias"]}
    return client.predict(task.name, instance, pitch_key=options["pitch_key"], **chosen)


def _print(_: Task, prediction: Prediction) -> None:
    click.echo(format_prediction(prediction))


predict = TaskGroup(
    TaskCall(call=_call, print=_print, options=(PITCH_KEY,)),
    name="predict",
    help="Request a prediction for one instance from a server.",
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
