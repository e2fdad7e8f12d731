"""Commands that call a server with one instance: one subcommand per task, one option per field of its instance."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

import click
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from ondeck_cli.remote import connect, server_of, server_options
from ondeck_client import BattedBall, Client, Pitch
from ondeck_core.errors import NotFoundError
from ondeck_core.instances import Field, InstanceType
from ondeck_core.model_name_normalization import canonical
from ondeck_core.tasks import TASKS, Task, task_named

Instance = BattedBall | Pitch
Options = dict[str, Any]
M = TypeVar("M", bound=Message)

MESSAGES: Final[dict[str, type[BattedBall] | type[Pitch]]] = {"BattedBall": BattedBall, "Pitch": Pitch}


@dataclass(frozen=True, kw_only=True)
class TaskCall(Generic[M]):
    """The rpc that a command calls, how it prints the response, and the options that only this rpc has."""

    call: Callable[[Client, Task, Instance, Options], M]
    print: Callable[[Task, M], None]
    options: tuple[click.Parameter, ...] = ()


class TaskGroup(click.Group):
    """A group with one command per task, all for the same rpc; `-` and `_` in names are equivalent."""

    def __init__(self, task_call: TaskCall[M], **attributes: Any) -> None:  # noqa: ANN401  click's own
        super().__init__(**attributes)
        self._new_command = partial(new_command, task_call=task_call)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Return the names of the tasks."""
        return [name.replace("_", "-") for name in TASKS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Return the command of a task; None if the task is unknown."""
        return self._new_command(TASKS[name]) if (name := canonical(cmd_name)) in TASKS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve a task; an unknown one fails with the list of known tasks."""
        try:
            task_named(args[0])
        except NotFoundError as error:
            ctx.fail(str(error))
        return super().resolve_command(ctx, args)


def new_command(task: Task, task_call: TaskCall[M]) -> click.Command:
    """Return the command of a task, with an option for each field of its instance."""
    shared: list[click.Parameter] = [
        click.Option(
            ["--version"], type=click.IntRange(1, 2**31 - 1), help="Model version; default: the one in production."
        ),
        click.Option(["--alias"], help="Alias of the model version."),
        *server_options(),
        click.Option(["--json"], is_flag=True, help="Print the whole response as JSON."),
    ]
    return click.Command(
        task.name.replace("_", "-"),
        params=[*map(_option, task.instance.fields), *task_call.options, *shared],
        callback=lambda **options: _run(task, task_call, options),
        help=f"Predict one {task.instance.message}: {', '.join(task.outcomes[:-1])} or {task.outcomes[-1]}?",
    )


def _option(field: Field) -> click.Option:
    flag = "--" + field.name.replace("_", "-")
    if field.codes is not None:
        codes = [code.name for code in field.codes if code]
        return click.Option(
            [flag],
            type=click.Choice(codes, case_sensitive=False),
            metavar=f"[{'|'.join(codes)}]",
            help="Statcast code.",
        )
    if field.flag:
        return click.Option([f"{flag}/--no-{field.name.replace('_', '-')}"], default=None, help="Default: unknown.")
    legal = field.allowed_values[0].upper() + field.allowed_values[1:] + (". Required." if field.required else ".")
    kind = click.IntRange(int(field.low), int(field.high)) if field.integer else click.FLOAT
    return click.Option([flag], type=kind, help=legal)


def _run(task: Task, task_call: TaskCall[M], options: Options) -> None:
    if options["version"] is not None and options["alias"] is not None:
        raise click.UsageError("a version is named by --version or by --alias, not by both")
    instance = MESSAGES[task.instance.message](**_values(task.instance, options))
    with connect(server_of(options["target"], options)) as client:
        response = task_call.call(client, task, instance, options)
    if options["json"]:
        click.echo(MessageToJson(response, preserving_proto_field_name=True, always_print_fields_with_no_presence=True))
    else:
        task_call.print(task, response)


def _values(instance: InstanceType, options: Options) -> dict[str, Any]:
    present = {field: options[field.name] for field in instance.fields if options[field.name] is not None}
    return {field.name: value if field.codes is None else field.codes[value] for field, value in present.items()}
