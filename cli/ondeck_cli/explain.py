"""`ondeck explain`: the explanation of one prediction, printed as a bar chart."""

from dataclasses import dataclass
from typing import Final

import click
from rich.console import Console, JustifyMethod
from rich.table import Table

from ondeck_cli.remote import answered_by
from ondeck_cli.task_command import Instance, Options, TaskCall, TaskGroup
from ondeck_client import Client, Contribution, ExplainResponse
from ondeck_core.instances import Field
from ondeck_core.tasks import Task

WIDTH: Final = 100
MAX_BAR: Final = 16  # cells of the longest bar
COLUMNS: Final[tuple[JustifyMethod, ...]] = ("left", "right", "left", "right", "left")
UNSET: Final = "not given"


@dataclass(frozen=True, kw_only=True)
class Symbols:
    """The characters of the chart."""

    block: str
    plus_minus: str


ASCII: Final = Symbols(block="#", plus_minus="+-")
UNICODE: Final = Symbols(block="█", plus_minus="±")


def _call(client: Client, task: Task, instance: Instance, options: Options) -> ExplainResponse:
    return client.explain(
        task.name, instance, outcome=options["outcome"], version=options["version"], alias=options["alias"]
    )


def _print(task: Task, response: ExplainResponse) -> None:
    console = Console(width=WIDTH, highlight=False, markup=False)
    symbols = ASCII if console.options.ascii_only else UNICODE
    with console.capture() as capture:
        console.print(_table(task, response, symbols))
    click.echo(f"why {response.outcome}? Each field moves it from the base rate to its probability.\n")
    click.echo("\n".join(line.rstrip() for line in capture.get().splitlines()))
    click.echo(f"\n{_method(response, symbols)}\n{answered_by(response.prediction)}")


explain = TaskGroup(
    TaskCall(
        call=_call,
        print=_print,
        options=(click.Option(["--outcome"], default="", help="Outcome to explain; default: the most likely one."),),
    ),
    name="explain",
    help="Request the contribution of each field to the prediction for one instance.",
)


def _table(task: Task, response: ExplainResponse, symbols: Symbols) -> Table:
    fields = {field.name: field for field in task.instance.fields}
    longest = max((abs(each.contribution) for each in response.contributions), default=0)
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in COLUMNS:
        table.add_column(justify=justify, no_wrap=True)
    table.add_row("base rate", "", _bar(0, 1, symbols.block), f"{response.base_rate:.3f}", "")
    for each in response.contributions:
        table.add_row(
            each.field,
            _value(fields[each.field], each),
            _bar(each.contribution, longest, symbols.block),
            f"{each.contribution:+.3f}",
            "" if response.exact else f"{symbols.plus_minus} {each.standard_error:.3f}",
        )
    table.add_row("probability", "", _bar(0, 1, symbols.block), f"{response.probability:.3f}", "")
    return table


def _bar(contribution: float, longest: float, block: str) -> str:
    """Return a bar to the left of an axis for a negative contribution, to the right for a positive one."""
    bar = block * (round(MAX_BAR * abs(contribution) / longest) if longest else 0)
    left, right = (bar, "") if contribution < 0 else ("", bar)
    return f"{left:>{MAX_BAR}}|{right:<{MAX_BAR}}"


def _value(field: Field, each: Contribution) -> str:
    if not each.HasField("value"):
        return UNSET
    if field.codes is not None:
        return field.codes(int(each.value)).name
    return f"{each.value:.4g} {field.unit}".rstrip()


def _method(response: ExplainResponse, symbols: Symbols) -> str:
    background = f"{response.background_rows} background instances"
    if response.exact:
        return f"exact, against {background}"
    return f"{symbols.plus_minus} standard error, from sampled permutations of the fields, against {background}"
