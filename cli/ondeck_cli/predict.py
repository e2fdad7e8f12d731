"""`ondeck predict`: one instance, asked by a person. Its options are the fields of the contract."""

from typing import Any, Final

import click
from google.protobuf.json_format import MessageToJson

from ondeck_cli.asking import asking
from ondeck_client import BattedBall, Pitch, Prediction
from ondeck_core.errors import NotFoundError
from ondeck_core.instances import Field, InstanceType
from ondeck_core.names import canonical
from ondeck_core.tasks import TASKS, Task, task_named

MESSAGES: Final[dict[str, type[BattedBall] | type[Pitch]]] = {"BattedBall": BattedBall, "Pitch": Pitch}
UNITS: Final = {"edge_distance": "ft"}


class _Tasks(click.Group):
    """A command for each task; `-` and `_` in names are the same."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        return [name.replace("_", "-") for name in TASKS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        return command_of(TASKS[name]) if (name := canonical(cmd_name)) in TASKS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            task_named(args[0])
        except NotFoundError as unknown:
            ctx.fail(str(unknown))
        return super().resolve_command(ctx, args)


predict = _Tasks(name="predict", help="Ask a running server about one instance.")


def command_of(task: Task) -> click.Command:
    """Make the command that asks the model of a task, with an option for each field of its instance."""
    own: list[click.Parameter] = [
        click.Option(
            ["--version"], type=click.IntRange(1, 2**31 - 1), help="Version to ask; default: the one in production."
        ),
        click.Option(["--alias"], help="Alias of the version to ask."),
        click.Option(["--target"], help="Server to ask, as host:port (ONDECK_HOST, ONDECK_PORT)."),
        click.Option(["--json"], is_flag=True, help="Print the whole answer as JSON."),
    ]
    return click.Command(
        task.name.replace("_", "-"),
        params=[*map(_option, task.instance.fields), *own],
        callback=lambda **given: _ask(task, **given),
        help=f"Ask about one {task.instance.message}: {', '.join(task.outcomes[:-1])} or {task.outcomes[-1]}?",
    )


def _option(field: Field) -> click.Option:
    flag = "--" + field.name.replace("_", "-")
    if field.codes is not None:
        codes = [code.name for code in field.codes if code]
        return click.Option(
            [flag],
            type=click.Choice(codes, case_sensitive=False),
            metavar=f"[{'|'.join(codes)}]",
            help="Statcast's code.",
        )
    legal = field.legal[0].upper() + field.legal[1:] + (". Required." if field.required else ".")
    kind = click.IntRange(int(field.low), int(field.high)) if field.whole else click.FLOAT
    return click.Option([flag], type=kind, help=legal)


def _ask(task: Task, **given: Any) -> None:  # noqa: ANN401  the options of the command, which click has checked
    if given["version"] is not None and given["alias"] is not None:
        raise click.UsageError("a version is named by --version or by --alias, not by both")
    instance = MESSAGES[task.instance.message](**_values(task.instance, given))
    with asking(given["target"]) as client:
        prediction = client.predict(task.name, instance, version=given["version"], alias=given["alias"])
    click.echo(as_json(prediction) if given["json"] else laid_out(prediction))


def _values(instance: InstanceType, given: dict[str, Any]) -> dict[str, Any]:
    present = {field: given[field.name] for field in instance.fields if given[field.name] is not None}
    return {field.name: value if field.codes is None else field.codes[value] for field, value in present.items()}


def as_json(prediction: Prediction) -> str:
    """Write the whole answer as JSON, with the contract's names."""
    return MessageToJson(prediction, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def laid_out(prediction: Prediction) -> str:
    """Lay an answer out for a person: outcomes, figures, and what gave it."""
    figures = prediction.WhichOneof("figures")
    derived = getattr(prediction, figures).ListFields() if figures else []
    lines = [(each.outcome, f"{each.probability:.3f}") for each in prediction.outcomes]
    lines += [("", "")]
    lines += [(field.name, f"{value:.3f} {UNITS.get(field.name, '')}".rstrip()) for field, value in derived]
    width = max(len(name) for name, _ in lines) + 2
    by = prediction.answered_by
    alias = f" ({by.alias})" if by.alias else ""
    told = [f"{name:<{width}}{value}".rstrip() for name, value in lines]
    return "\n".join([*told, "", f"answered by {by.model}, version {by.version}{alias}, {by.digest[:12]}"])
