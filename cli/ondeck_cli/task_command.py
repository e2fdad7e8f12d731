"""Commands that ask a running server about one instance: for each task one, its options the fields of the contract."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Generic, TypeVar

import click
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message

from ondeck_cli.remote import asking
from ondeck_cli.server_options import server_of, server_options
from ondeck_client import BattedBall, Client, Pitch
from ondeck_core.errors import NotFoundError
from ondeck_core.identifiers import canonical
from ondeck_core.instances import Field, InstanceType
from ondeck_core.tasks import TASKS, Task, task_named

Instance = BattedBall | Pitch
Given = dict[str, Any]
M = TypeVar("M", bound=Message)

MESSAGES: Final[dict[str, type[BattedBall] | type[Pitch]]] = {"BattedBall": BattedBall, "Pitch": Pitch}


@dataclass(frozen=True, kw_only=True)
class TaskQuery(Generic[M]):
    """What is asked about an instance, how the answer is told to a person, and which options it has of its own."""

    ask: Callable[[Client, Task, Instance, Given], M]
    tell: Callable[[Task, M], None]
    options: tuple[click.Parameter, ...] = ()


class TaskGroup(click.Group):
    """A command for each task, all of them asking the same; `-` and `_` in names are the same."""

    def __init__(self, question: TaskQuery[M], **attributes: Any) -> None:  # noqa: ANN401  click's own
        super().__init__(**attributes)
        self._command_of = partial(command_of, question=question)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  click's signature
        """Name the tasks."""
        return [name.replace("_", "-") for name in TASKS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  click's signature
        """Make the command of a task; None where there is no such."""
        return self._command_of(TASKS[name]) if (name := canonical(cmd_name)) in TASKS else None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Refuse an unknown task with those that there are."""
        try:
            task_named(args[0])
        except NotFoundError as unknown:
            ctx.fail(str(unknown))
        return super().resolve_command(ctx, args)


def command_of(task: Task, question: TaskQuery[M]) -> click.Command:
    """Make the command that asks the model of a task, with an option for each field of its instance."""
    shared: list[click.Parameter] = [
        click.Option(
            ["--version"], type=click.IntRange(1, 2**31 - 1), help="Version to ask; default: the one in production."
        ),
        click.Option(["--alias"], help="Alias of the version to ask."),
        *server_options(),
        click.Option(["--json"], is_flag=True, help="Print the whole answer as JSON."),
    ]
    return click.Command(
        task.name.replace("_", "-"),
        params=[*map(_option, task.instance.fields), *question.options, *shared],
        callback=lambda **given: _ask(task, question, given),
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
    if field.flag:
        return click.Option([f"{flag}/--no-{field.name.replace('_', '-')}"], default=None, help="Default: not known.")
    legal = field.allowed_values[0].upper() + field.allowed_values[1:] + (". Required." if field.required else ".")
    kind = click.IntRange(int(field.low), int(field.high)) if field.whole else click.FLOAT
    return click.Option([flag], type=kind, help=legal)


def _ask(task: Task, question: TaskQuery[M], given: Given) -> None:
    if given["version"] is not None and given["alias"] is not None:
        raise click.UsageError("a version is named by --version or by --alias, not by both")
    instance = MESSAGES[task.instance.message](**_values(task.instance, given))
    with asking(server_of(given["target"], given)) as client:
        answer = question.ask(client, task, instance, given)
    if given["json"]:
        click.echo(as_json(answer))
    else:
        question.tell(task, answer)


def _values(instance: InstanceType, given: Given) -> dict[str, Any]:
    present = {field: given[field.name] for field in instance.fields if given[field.name] is not None}
    return {field.name: value if field.codes is None else field.codes[value] for field, value in present.items()}


def as_json(answer: Message) -> str:
    """Write the whole answer as JSON, with the contract's names."""
    return MessageToJson(answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
