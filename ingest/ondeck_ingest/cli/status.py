"""The status of ingest: stored seasons, sources, queue, failures, quarantine, players; read and rendered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_ingest.cli.tables import format_value
from ondeck_ingest.jobs.queue import DeadJob, QueueSummary, dead_jobs, summarize_queue
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_store.ingest.ledger import (
    RecordedEntry,
    SourceState,
    UnknownColumn,
    latest_entries,
    problem_days,
    source_states,
    unknown_columns,
)
from ondeck_store.ingest.quarantine import count_open
from ondeck_store.pitches.queries import SeasonSummary, days_by_state, seasons
from ondeck_store.players.register_gaps import list_conflicts, list_unresolved

LATEST_UNITS: Final = 5
MAX_LINES: Final = 10


@dataclass(frozen=True, kw_only=True)
class IngestStatus:
    """The status at a moment; `days` counts ledger days by state, `quarantined` counts open rows by code."""

    at: datetime
    seasons: Sequence[SeasonSummary]
    sources: Sequence[SourceState]
    days: dict[str, int]
    queue: QueueSummary
    dead_jobs: Sequence[DeadJob]
    problem_days: Sequence[RecordedEntry]
    quarantined: dict[str, int]
    unknown_columns: Sequence[UnknownColumn]
    unresolved_players: int
    player_conflicts: int
    latest: Sequence[RecordedEntry]

    @property
    def needs_attention(self) -> bool:
        """Whether an operator has to act: a job is dead, or a circuit is open."""
        return bool(self.dead_jobs) or any(each.state == "open" for each in self.sources)


async def read_status(connection: AsyncConnection, source: str) -> IngestStatus:
    """Read the status; days and problems are those of `source`."""
    return IngestStatus(
        at=datetime.now(UTC),
        seasons=await seasons(connection),
        sources=await source_states(connection),
        days=await days_by_state(connection, source),
        queue=await summarize_queue(connection),
        dead_jobs=await dead_jobs(connection),
        problem_days=await problem_days(connection, source),
        quarantined=await count_open(connection),
        unknown_columns=await unknown_columns(connection),
        unresolved_players=len(await list_unresolved(connection)),
        player_conflicts=len(await list_conflicts(connection)),
        latest=await latest_entries(connection, LATEST_UNITS),
    )


def render_status(status: IngestStatus) -> Iterator[str]:
    """Yield the lines of the status: one per section, then one per item."""
    yield f"as of {format_value(status.at)} UTC"
    yield from _section("stored", [_describe_season(each) for each in status.seasons], "nothing")
    yield from _section("sources", [_describe_source(each) for each in status.sources], "no request yet")
    yield f"days: {_join_counts(status.days)}"
    yield f"queue: {_describe_queue(status.queue)}"
    yield from _section(
        "dead jobs", [_describe_job(each) for each in status.dead_jobs], "none", hint="ondeck ingest retry"
    )
    yield from _section("failed or suspicious", [_describe_problem(each) for each in status.problem_days], "nothing")
    yield f"quarantined: {_join_counts(status.quarantined)}" + (
        " (ondeck ingest quarantine list)" if status.quarantined else ""
    )
    columns = [f"{each.name}, first in {each.source} {each.unit}" for each in status.unknown_columns]
    yield from _section("unknown columns", columns, "none")
    yield (
        f"players: {status.unresolved_players:,} in no register yet, {status.player_conflicts:,} conflicts between "
        "sources" + (" (ondeck players unresolved)" if status.unresolved_players or status.player_conflicts else "")
    )
    yield from _section("latest", [_describe_unit(each) for each in status.latest], "nothing")


def to_json(value: object) -> str:
    """Convert a value that JSON does not support to text."""
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _section(name: str, lines: list[str], nothing: str, hint: str = "") -> Iterator[str]:
    if not lines:
        yield f"{name}: {nothing}"
        return
    more = len(lines) - MAX_LINES
    yield f"{name}: {len(lines):,}" + (f" ({hint})" if hint else "")
    yield from (f"  {line}" for line in lines[:MAX_LINES])
    if more > 0:
        yield f"  and {more:,} more (--json lists all)"


def _describe_season(each: SeasonSummary) -> str:
    return f"{each.season}: {each.pitches:,} pitches of {each.games:,} games, {each.first_day} to {each.last_day}"


def _describe_source(each: SourceState) -> str:
    if each.until is None:
        return f"{each.source} circuit {each.state}"
    return f"{each.source} circuit {each.state} until {each.until:%H:%M:%S} UTC: {each.reason}"


def _describe_queue(queue: QueueSummary) -> str:
    since = "" if queue.oldest is None else f", the oldest since {format_value(queue.oldest)}"
    return f"{queue.queued:,} queued, {queue.running:,} running{since}"


def _describe_job(each: DeadJob) -> str:
    return f"{each.source} {each.day} after {each.attempts} attempts, {format_value(each.since)}: {each.reason}"


def _describe_problem(entry: RecordedEntry) -> str:
    problems = "; ".join(each for each in (entry.last_error, entry.warning) if each)
    return f"{entry.day} {entry.state}, {entry.rows_in:,} rows: {problems}"


def _describe_unit(entry: RecordedEntry) -> str:
    unit = f"{format_value(entry.updated_at)} {entry.source} {entry.unit} {entry.state}"
    counts = LoadCounts(**{name: getattr(entry, name) for name in LoadCounts().numbers})
    return f"{unit}, {counts}"


def _join_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items()) or "none"
