"""Take one thing after the other, and tell a person or a log how it goes."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ondeck_core.errors import OndeckError
from ondeck_ingest.pipeline.ingest_day import INGEST_ERRORS
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.sources.archive import ArchiveWriteError
from ondeck_ingest.sources.base import CircuitOpenError, SourceRequest, readable


class PartialIngestError(OndeckError):
    """Some of what was asked for was refused; the rest is stored."""


async def take_each(wanted: Sequence[SourceRequest], take: Callable[[SourceRequest], Awaitable[LoadCounts]]) -> None:
    """Take one after the other; what is refused is told at once and once more by the exit code.

    Raises:
        PartialIngestError: something was refused, or not even asked for because the source is left alone or nothing can
            be kept.
    """
    total, refused = LoadCounts(), 0
    with _telling(len(wanted)) as tell:
        for number, each in enumerate(wanted):
            called = readable(each.name).rpartition("/")[2]
            try:
                taken = await take(each)
            except (CircuitOpenError, ArchiveWriteError) as hopeless:
                refused += len(wanted) - number
                tell(f"{called} and what follows not taken: {hopeless}")
                break
            except INGEST_ERRORS as refusal:
                refused += 1
                tell(f"{called} not taken: {refusal}")
            else:
                total += taken
                tell(f"{called}: {taken}")
    click.echo(str(total))
    if refused:
        rest = "the others are stored" if refused < len(wanted) else "nothing was stored"
        raise PartialIngestError(f"{refused} of {len(wanted)} not taken, for the reasons above; {rest}")


@contextmanager
def _telling(count: int) -> Iterator[Callable[[str], None]]:
    """Show a progress bar where a person watches, plain lines where not."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield click.echo
        return
    columns = (TextColumn("ingest"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("ingest", total=count)

        def tell(line: str) -> None:
            progress.console.print(line, markup=False, highlight=False)
            progress.advance(bar)

        yield tell
