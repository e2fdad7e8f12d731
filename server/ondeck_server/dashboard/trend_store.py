"""Stores and reads trends in PostgreSQL: five-minute points for two days, hourly ones for more than a year."""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ondeck_server.dashboard.trends import LONG_SECONDS, SHORT_SECONDS, STEPS, TrendPoint, merge, trend_columns

if TYPE_CHECKING:
    import asyncpg

    from ondeck_store.connection import Connection

SHORT_KEPT: Final = timedelta(days=2)
LONG_KEPT: Final = timedelta(days=400)
_LOCK: Final = 0x0DEC_7E4D  # any number, but the same for every server
_COLUMNS: Final = "began_at, seconds, calls, server_errors, caller_errors, rows"
_INSERT: Final = f"""
INSERT INTO server_trends (server, {_COLUMNS}, latency, queue)
VALUES ($1, to_timestamp($2), $3, $4, $5, $6, $7, $8::text::jsonb, $9::text::jsonb)
ON CONFLICT DO NOTHING
"""  # noqa: S608  constant names
_OLD: Final = f"""
DELETE FROM server_trends WHERE seconds = $1 AND began_at < $2
RETURNING server, extract(epoch FROM began_at)::bigint AS {_COLUMNS}, latency::text, queue::text
"""  # noqa: S608  constant names
_EXPIRED: Final = "DELETE FROM server_trends WHERE seconds = $1 AND began_at < $2"
_READ: Final = f"""
SELECT server, extract(epoch FROM began_at)::bigint AS {_COLUMNS}, latency::text, queue::text
FROM server_trends WHERE began_at >= $1 ORDER BY began_at
"""  # noqa: S608  constant names


async def store_trends(connection: "Connection", server: str, points: Sequence[TrendPoint], now: datetime) -> None:
    """Store points, once each; add up those that are older than two days, and drop those of long ago."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        await connection.executemany(_INSERT, [_row(server, point) for point in points])
        border = datetime.fromtimestamp((now - SHORT_KEPT).timestamp() // LONG_SECONDS * LONG_SECONDS, UTC)
        old: defaultdict[str, list[TrendPoint]] = defaultdict(list)
        for record in await connection.fetch(_OLD, SHORT_SECONDS, border):
            old[record["server"]].append(_point(record))
        hours = [
            _row(each, replace(point, seconds=LONG_SECONDS))
            for each, found in old.items()
            for point in merge(found, LONG_SECONDS)
        ]
        await connection.executemany(_INSERT, hours)
        await connection.execute(_EXPIRED, LONG_SECONDS, now - LONG_KEPT)


async def read_trends(connection: "Connection", days: int, now: datetime) -> dict[str, Any]:
    """Return the trends of the last days as columns, the sums of all servers, in intervals of `seconds`."""
    records = await connection.fetch(_READ, now - timedelta(days=days))
    seconds = STEPS[days]
    return {
        "days": days,
        "seconds": seconds,
        "servers": sorted({record["server"] for record in records}),
        "points": trend_columns(merge([_point(record) for record in records], seconds), seconds),
    }


def _row(server: str, point: TrendPoint) -> tuple[object, ...]:
    counts = (point.calls, point.server_errors, point.caller_errors, point.rows)
    return server, float(point.began_at), point.seconds, *counts, json.dumps(point.latency), json.dumps(point.queue)


def _point(record: "asyncpg.Record") -> TrendPoint:
    values = {name: value for name, value in record.items() if name != "server"}
    return TrendPoint(**{**values, "latency": json.loads(values["latency"]), "queue": json.loads(values["queue"])})
