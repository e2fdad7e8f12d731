"""`ondeck explain`: why a running server says what it says of one instance, drawn for a person."""

from dataclasses import dataclass
from typing import Final

import click
from rich.console import Console, JustifyMethod
from rich.table import Table

from ondeck_cli.answered_by import answered_by
from ondeck_cli.task_command import Given, Instance, TaskGroup, TaskQuery
from ondeck_client import Client, Contribution, ExplainResponse
from ondeck_core.instances import Field
from ondeck_core.tasks import Task

WIDTH: Final = 100
REACH: Final = 16  # cells of the longest bar
COLUMNS: Final[tuple[JustifyMethod, ...]] = ("left", "right", "left", "right", "left")
UNSET: Final = "not given"


@dataclass(frozen=True, kw_only=True)
class SignedBar:
    """What a terminal can show."""

    block: str
    give_or_take: str


PLAIN: Final = SignedBar(block="#", give_or_take="+-")
FINE: Final = SignedBar(block="█", give_or_take="±")


def _ask(client: Client, task: Task, instance: Instance, given: Given) -> ExplainResponse:
    return client.explain(task.name, instance, outcome=given["outcome"], version=given["version"], alias=given["alias"])


def _tell(task: Task, explained: ExplainResponse) -> None:
    console = Console(width=WIDTH, highlight=False, markup=False)
    signs = PLAIN if console.options.ascii_only else FINE
    with console.capture() as drawing:
        console.print(_drawn(task, explained, signs))
    click.echo(f"why {explained.outcome}? Each field moves it from the base rate to its probability.\n")
    click.echo("\n".join(line.rstrip() for line in drawing.get().splitlines()))
    click.echo(f"\n{_how(explained, signs)}\n{answered_by(explained.prediction)}")


explain = TaskGroup(
    TaskQuery(
        ask=_ask,
        tell=_tell,
        options=(click.Option(["--outcome"], default="", help="Outcome to explain; default: the likeliest."),),
    ),
    name="explain",
    help="Ask a running server why it says what it says of one instance.",
)


def _drawn(task: Task, explained: ExplainResponse, signs: SignedBar) -> Table:
    fields = {field.name: field for field in task.instance.fields}
    longest = max((abs(each.contribution) for each in explained.contributions), default=0)
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in COLUMNS:
        table.add_column(justify=justify, no_wrap=True)
    table.add_row("base rate", "", _bar(0, 1, signs.block), f"{explained.base_rate:.3f}", "")
    for each in explained.contributions:
        table.add_row(
            each.field,
            _value(fields[each.field], each),
            _bar(each.contribution, longest, signs.block),
            f"{each.contribution:+.3f}",
            "" if explained.exact else f"{signs.give_or_take} {each.standard_error:.3f}",
        )
    table.add_row("probability", "", _bar(0, 1, signs.block), f"{explained.probability:.3f}", "")
    return table


def _bar(contribution: float, longest: float, block: str) -> str:
    """Draw a contribution to the left of a line or to the right of it."""
    cells = round(REACH * abs(contribution) / longest) if longest else 0
    drawn = block * cells
    left, right = (drawn, "") if contribution < 0 else ("", drawn)
    return f"{left:>{REACH}}|{right:<{REACH}}"


def _value(field: Field, each: Contribution) -> str:
    if not each.HasField("value"):
        return UNSET
    if field.codes is not None:
        return field.codes(int(each.value)).name
    return f"{each.value:.4g} {field.unit}".rstrip()


def _how(explained: ExplainResponse, signs: SignedBar) -> str:
    beside = f"beside {explained.background_rows} usual instances"
    if explained.exact:
        return f"exact, {beside}"
    return f"{signs.give_or_take} standard error, over a sample of the orders of the fields, {beside}"
