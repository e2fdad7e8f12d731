"""How ingest stands, at a glance: what is stored, what waits, what failed, what is odd, who is unknown."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_ingest.jobs.queue import DeadJob, QueueSummary, backlog_of, given_up
from ondeck_store.ingest.ledger import RecordedEntry, SourceState, latest, source_states, troubled_days
from ondeck_store.ingest.quarantined_rows import counts
from ondeck_store.ingest.unknown_columns import UnknownColumn, unknown_columns
from ondeck_store.pitches.queries import SeasonSummary, days_by_state, seasons
from ondeck_store.players.unresolved import conflicts, unresolved

RUNS: Final = 5


@dataclass(frozen=True, kw_only=True)
class IngestStatus:
    """How ingest stands at a moment; `days` counts the ledger's by state, `set_aside` rows in quarantine by code."""

    at: datetime
    seasons: Sequence[SeasonSummary]
    sources: Sequence[SourceState]
    days: dict[str, int]
    backlog: QueueSummary
    given_up: Sequence[DeadJob]
    troubled: Sequence[RecordedEntry]
    set_aside: dict[str, int]
    unknown_columns: Sequence[UnknownColumn]
    players_by_id_alone: int
    player_conflicts: int
    runs: Sequence[RecordedEntry]

    @property
    def calls_for_somebody(self) -> bool:
        """Whether a person is needed: something was given up, or a source is left alone."""
        return bool(self.given_up) or any(each.state == "rests" for each in self.sources)


async def status_of(connection: AsyncConnection, source: str) -> IngestStatus:
    """Look at everything."""
    return IngestStatus(
        at=datetime.now(UTC),
        seasons=await seasons(connection),
        sources=await source_states(connection),
        days=await days_by_state(connection, source),
        backlog=await backlog_of(connection),
        given_up=await given_up(connection),
        troubled=await troubled_days(connection, source),
        set_aside=await counts(connection),
        unknown_columns=await unknown_columns(connection),
        players_by_id_alone=len(await unresolved(connection)),
        player_conflicts=len(await conflicts(connection)),
        runs=await latest(connection, RUNS),
    )
