"""`ondeck predict`: one instance, asked by a person. Its options are the fields of the contract."""

from typing import Any, Final

import click
from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from ondeck.v1.instances_pb2 import BattedBall, Pitch
from ondeck.v1.prediction_service_pb2 import Prediction
from ondeck_cli.asking import asking
from ondeck_core.instances import Field
from ondeck_core.names import canonical
from ondeck_core.tasks import TASKS

INSTANCES: Final[dict[str, type[BattedBall] | type[Pitch]]] = {"batted_ball": BattedBall, "called_strike": Pitch}
_ABOUT: Final = {
    "batted_ball": "Ask what becomes of a ball in play.",
    "called_strike": "Ask whether a taken pitch is called a strike.",
}


class _Tasks(click.Group):
    """A command for each task; `-` and `_` in names are the same."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return [name.replace("_", "-") for name in INSTANCES]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        task = canonical(cmd_name)
        return _command(task) if task in INSTANCES else None


predict = _Tasks(name="predict", help="Ask a running server about one instance.")


def _command(task: str) -> click.Command:
    fields = zip(INSTANCES[task].DESCRIPTOR.fields, TASKS[task].instance.fields, strict=True)
    own: list[click.Parameter] = [
        click.Option(["--target"], help="Server to ask, as host:port (ONDECK_HOST, ONDECK_PORT)."),
        click.Option(["--version"], type=click.IntRange(1), help="Version to ask; default: the one in production."),
        click.Option(["--alias"], help="Alias to ask by."),
        click.Option(["--json"], is_flag=True, help="Print the whole answer as JSON."),
    ]
    return click.Command(
        task.replace("_", "-"),
        params=[*(_option(field, known) for field, known in fields), *own],
        callback=lambda **given: _ask(task, **given),
        help=_ABOUT[task],
        context_settings={"token_normalize_func": lambda token: token.replace("_", "-")},
    )


def _option(field: FieldDescriptor, known: Field) -> click.Option:
    flag = "--" + field.name.replace("_", "-")
    if field.enum_type is not None:
        return click.Option([flag], type=click.Choice(_codes(field.enum_type), case_sensitive=False))
    whole = field.cpp_type == FieldDescriptor.CPPTYPE_UINT32
    told = known.legal + (", required" if known.required else "")
    return click.Option([flag], type=click.INT if whole else click.FLOAT, help=told[0].upper() + told[1:] + ".")


def _codes(enum: EnumDescriptor) -> list[str]:
    """Codes as Statcast writes them: R for SIDE_RIGHT, FF for PITCH_TYPE_FF."""
    return [_code(value.name) for value in enum.values if value.number]


def _code(name: str) -> str:
    return {"SIDE_LEFT": "L", "SIDE_RIGHT": "R"}.get(name, name.rpartition("_")[2])


def _ask(task: str, **given: Any) -> None:  # noqa: ANN401  the options of the command, which click has checked
    instance = INSTANCES[task](**_values(INSTANCES[task], given))
    if given["version"] is not None and given["alias"] is not None:
        raise click.UsageError("a version is named by --version or by --alias, not by both")
    with asking(given["target"]) as client:
        prediction = client.predict(task, instance, version=given["version"], alias=given["alias"])
    click.echo(MessageToJson(prediction, preserving_proto_field_name=True) if given["json"] else laid_out(prediction))


def _values(kind: type[Message], given: dict[str, Any]) -> dict[str, Any]:
    values = {}
    for field in kind.DESCRIPTOR.fields:
        value = given.get(field.name)
        if value is None:
            continue
        if field.enum_type is not None:
            value = next(each.number for each in field.enum_type.values if _code(each.name) == value)
        values[field.name] = value
    return values


def laid_out(prediction: Prediction) -> str:
    """Lay an answer out for a person: outcomes, figures, and what gave it."""
    figures = prediction.WhichOneof("figures")
    derived = getattr(prediction, figures).ListFields() if figures else []
    lines = [(each.outcome, f"{each.probability:.4f}") for each in prediction.outcomes]
    lines += [("", "")] + [(field.name, f"{value:.4f}") for field, value in derived]
    width = max(len(name) for name, _ in lines) + 2
    by = prediction.answered_by
    head = f"{by.model}, version {by.version}" + (f" ({by.alias})" if by.alias else "") + f", {by.digest[:12]}"
    return "\n".join([head, "", *(f"{name:<{width}}{value}".rstrip() for name, value in lines)])
