"""A status in words: a line for each part, and one below it for each thing that a person may have to look at."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

from ondeck_ingest.cli.tables import in_a_cell
from ondeck_ingest.jobs.status import IngestStatus
from ondeck_store.ingest.ledger import RecordedEntry, SourceState

SHOWN: Final = 10


def in_lines(status: IngestStatus) -> Iterator[str]:
    """Say how ingest stands, part by part."""
    yield f"as of {in_a_cell(status.at)} UTC"
    yield from _part("stored", _seasons(status), "nothing")
    yield from _part("sources", [_source(each) for each in status.sources], "not asked yet")
    yield f"days: {_counts(status.days)}"
    yield f"queue: {_queue(status)}"
    yield from _part("given up", _given_up(status), "nothing", hint="ondeck ingest retry")
    yield from _part("failed or odd", [_trouble(each) for each in status.troubled], "nothing")
    yield f"set aside: {_counts(status.set_aside)}" + (" (ondeck ingest quarantine list)" if status.set_aside else "")
    yield from _part("columns that no export has had before", _columns(status), "none")
    yield (
        f"players: {status.players_by_id_alone:,} in no register yet, {status.player_conflicts:,} disagreements of "
        "sources" + (" (ondeck players unresolved)" if status.players_by_id_alone or status.player_conflicts else "")
    )
    yield from _part("taken last", [_run(each) for each in status.runs], "nothing")


def as_data(value: object) -> str:
    """Write what JSON has no form for."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _part(name: str, lines: list[str], nothing: str, hint: str = "") -> Iterator[str]:
    if not lines:
        yield f"{name}: {nothing}"
        return
    more = len(lines) - SHOWN
    yield f"{name}: {len(lines):,}" + (f" ({hint})" if hint else "")
    yield from (f"  {line}" for line in lines[:SHOWN])
    if more > 0:
        yield f"  and {more:,} more (--json lists all)"


def _seasons(status: IngestStatus) -> list[str]:
    return [
        f"{each.season}: {each.pitches:,} pitches of {each.games:,} games, {each.first_day} to {each.last_day}"
        for each in status.seasons
    ]


def _source(told: SourceState) -> str:
    if told.until is None:
        return f"{told.source} {told.state}"
    return f"{told.source} {told.state} until {told.until:%H:%M:%S} UTC: {told.reason}"


def _queue(status: IngestStatus) -> str:
    backlog = status.backlog
    since = "" if backlog.oldest is None else f", the oldest since {in_a_cell(backlog.oldest)}"
    return f"{backlog.queued:,} wait, {backlog.running:,} run{since}"


def _given_up(status: IngestStatus) -> list[str]:
    return [
        f"{each.source} {each.day} after {each.attempts} attempts, {in_a_cell(each.since)}: {each.reason}"
        for each in status.given_up
    ]


def _trouble(entry: RecordedEntry) -> str:
    what = "; ".join(each for each in (entry.last_error, entry.suspicious) if each)
    return f"{entry.day} {entry.state}, {entry.rows_in:,} rows: {what}"


def _columns(status: IngestStatus) -> list[str]:
    return [f"{each.name}, first in {each.source} {each.unit}" for each in status.unknown_columns]


def _run(entry: RecordedEntry) -> str:
    what = f"{in_a_cell(entry.updated_at)} {entry.source} {entry.unit} {entry.state}"
    became = f"{entry.stored} stored, {entry.unchanged} unchanged, {entry.quarantined} quarantined"
    return f"{what}, {entry.rows_in} rows in: {became}"


def _counts(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counted.items()) or "none"
