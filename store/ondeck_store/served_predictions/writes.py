"""Writes of served predictions, with asyncpg alone: a server without a database imports no driver.

Each day (UTC) has a partition, which is created before its rows come and dropped after the retention.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final

import asyncpg

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]

TABLE: Final = "served_predictions"
DAYS_AHEAD: Final = 2  # for which partitions exist before they begin
_LOCK: Final = 0x0DED  # any number, but the same for every Ondeck program
_A_DAY: Final = timedelta(days=1)
_PARTITIONS: Final = """
SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
WHERE inhparent = 'served_predictions'::regclass AND child.relname ~ '^served_predictions_[0-9]{8}$'
"""  # other partitions, such as a default one, are not ours
_LOCK_TIMEOUT: Final = "SET LOCAL lock_timeout = '2s'"  # statements that come later wait behind a lock of the table


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedPrediction:
    """One served prediction; the fields are the columns of the table, in order."""

    served_at: datetime
    model: str
    version: int
    digest: bytes
    correlation_id: str
    instance: bytes
    probabilities: bytes
    ensemble_spread: float
    prediction_sets: list[int]
    game_pk: int | None
    at_bat_number: int | None
    pitch_number: int | None


COLUMNS: Final = tuple(each.name for each in fields(ServedPrediction))


async def write_served(connection: "Connection", rows: Sequence[ServedPrediction]) -> None:
    """Store rows whose days have partitions, all or none."""
    await connection.copy_records_to_table(TABLE, records=[astuple(row) for row in rows], columns=COLUMNS)


async def update_partitions(connection: "Connection", today: date, retention_days: int) -> set[date]:
    """Create the partitions of today and the next days, drop those older than the retention; return their days.

    Programs that do this at once wait for each other, and for transactions that use the table: two seconds at most.

    Raises:
        asyncpg.PostgresError: a lock was not available in time, or the role may not do it; nothing has changed.
    """
    needed = {today + number * _A_DAY for number in range(-1, DAYS_AHEAD + 1)}
    async with connection.transaction():
        await connection.execute(_LOCK_TIMEOUT)
        await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        present = await _read_partitions(connection)
        for day in sorted(needed - present):
            first, end = (datetime(each.year, each.month, each.day, tzinfo=UTC) for each in (day, day + _A_DAY))
            await connection.execute(
                f"CREATE TABLE {partition_name(day)} PARTITION OF {TABLE} "
                f"FOR VALUES FROM ('{first.isoformat()}') TO ('{end.isoformat()}')"
            )
        expired = {day for day in present if day < today - retention_days * _A_DAY}
        for day in sorted(expired):
            await connection.execute(f"DROP TABLE {partition_name(day)}")
        return (present | needed) - expired


async def update_or_read_partitions(
    connection: "Connection", today: date, retention_days: int
) -> tuple[set[date], str]:
    """Update the partitions as `update_partitions`; return their days, and why they could not be updated or "".

    Raises:
        asyncpg.PostgresError: they could not be updated, and today has none.
    """
    try:
        return await update_partitions(connection, today, retention_days), ""
    except asyncpg.PostgresError as failed:
        present = await _read_partitions(connection)
        if today not in present:
            raise
        return present, str(failed)


async def _read_partitions(connection: "Connection") -> set[date]:
    return {_day_of(row["relname"]) for row in await connection.fetch(_PARTITIONS)}


def partition_name(day: date) -> str:
    """Return the name of the table with the predictions of a day (UTC)."""
    return f"{TABLE}_{day:%Y%m%d}"


def _day_of(partition: str) -> date:
    return datetime.strptime(partition.removeprefix(f"{TABLE}_"), "%Y%m%d").replace(tzinfo=UTC).date()
