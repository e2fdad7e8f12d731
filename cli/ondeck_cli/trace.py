"""`ondeck trace`: the lines of one correlation id from the log files of all programs."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import click

from ondeck_core.errors import OndeckError
from ondeck_runtime.log_file import FOLDER, log_files
from ondeck_runtime.logging import printable
from ondeck_runtime.settings import read_settings
from ondeck_store.settings import StoreSettings

_COLUMNS: Final = ("timestamp", "program", "level", "event", "correlation_id", "exception")  # the others are fields
Event = dict[str, Any]


class NoLogLinesError(OndeckError):
    """No log file has a line of the correlation id."""


@click.command()
@click.argument("correlation_id", metavar="ID")
@click.option("--logs", type=click.Path(path_type=Path), help="Folder of the log files; default: logs/ in the home.")
@click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
@click.option("--json", "as_json", is_flag=True, help="Print the lines as they are stored.")
def trace(correlation_id: str, logs: Path | None, home: Path | None, *, as_json: bool) -> None:
    """Print what every program logged about one call, job or run, in the order of time.

    ID is the correlation id that an error shows. Exit code 1: no log file has a line with it.
    """
    folder = logs or read_settings(StoreSettings, home=home).home / FOLDER
    found = find_events(folder, correlation_id)
    if not found:
        raise NoLogLinesError(_explain_absence(folder, correlation_id))
    for event in found:
        click.echo(json.dumps(event) if as_json else "\n".join(render_event(event)))


def find_events(folder: Path, correlation_id: str) -> list[Event]:
    """Return the events of a correlation id in the log files of a folder, the oldest first."""
    events = [event for path in log_files(folder) for event in _events_of(path, correlation_id)]
    return sorted(events, key=lambda event: str(event.get("timestamp", "")))


def render_event(event: Event) -> Iterator[str]:
    """Yield an event as a line, and its traceback as indented lines."""
    fields = [f"{name}={value}" for name, value in event.items() if name not in _COLUMNS and value is not None]
    time, program, level, name = (str(event.get(column, "")) for column in _COLUMNS[:4])
    yield printable(" ".join([time, f"{program:<8}", f"{level:<7}", name, *fields]))
    yield from (f"    {printable(line)}" for line in str(event.get("exception", "")).splitlines())


def _events_of(path: Path, correlation_id: str) -> Iterator[Event]:
    encoded = json.dumps(correlation_id)[1:-1]  # most lines need not be parsed
    with suppress(FileNotFoundError), path.open(errors="replace") as lines:  # a program may replace it at any time
        for line in lines:
            event = _parse(line) if encoded in line else {}
            if event.get("correlation_id") == correlation_id:
                yield event


def _parse(line: str) -> Event:
    try:
        event = json.loads(line)
    except ValueError:  # cut by a full disk
        return {}
    return event if isinstance(event, dict) else {}


def _explain_absence(folder: Path, correlation_id: str) -> str:
    count = len(list(log_files(folder)))
    if not count:
        return f"{folder} has no log files; --logs names another folder"
    return f"no line in the {count} log files of {folder} has the correlation id {correlation_id!r}"
