"""The time of statements, by operation and table; COPY and the job queue, which use the driver, are not in it."""

import re
import time
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from ondeck_runtime.metrics import SLOW_SECONDS_BUCKETS, HistogramFamily, MetricsBlock
from ondeck_store.tables.statcast import metadata

QUERY_SECONDS: Final = HistogramFamily(
    "ondeck_database_query_seconds",
    "seconds of statements, by operation and first table, such as `SELECT pitches`; without COPY and the job queue",
    ("statement",),
    SLOW_SECONDS_BUCKETS,
)
OTHER: Final = "other"
_OPERATION: Final = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|MERGE|REFRESH)\b", re.IGNORECASE)
_WRITE: Final = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b(?!\s+SET)", re.IGNORECASE)
_TABLE: Final = re.compile(r'\b(?:FROM|INTO|UPDATE|JOIN)\s+(?:ONLY\s+)?"?(\w+)', re.IGNORECASE)
_STARTS: Final = "ondeck_query_starts"
_KEPT: Final = 1024


@lru_cache(maxsize=_KEPT)
def summarize(statement: str) -> str:
    """Return the operation of a statement and the first of our tables in it; never other text of the statement."""
    tables = (name for name in _TABLE.findall(statement) if name in metadata.tables)
    table = next(tables, OTHER)
    is_with = statement.lstrip()[:4].upper() == "WITH"
    found = (_WRITE.search(statement) if is_with else None) or _OPERATION.search(statement)
    return f"{found[1].upper() if found else OTHER} {table}"


def measure_queries(engine: AsyncEngine, metrics: MetricsBlock) -> None:
    """Measure every statement that SQLAlchemy executes on an engine from now on."""
    metrics.declare(QUERY_SECONDS)

    def begin(connection: Any, *_: object) -> None:  # noqa: ANN401  SQLAlchemy calls it with its own types
        connection.info.setdefault(_STARTS, []).append(time.perf_counter())

    def end(connection: Any, _cursor: object, statement: str, *_: object) -> None:  # noqa: ANN401  as above
        if starts := connection.info.get(_STARTS):
            seconds = time.perf_counter() - starts.pop()
            metrics.histogram(QUERY_SECONDS, summarize(statement)).observe(seconds)

    def fail(context: Any) -> None:  # noqa: ANN401  as above
        if context.connection is not None and (starts := context.connection.info.get(_STARTS)):
            starts.pop()

    event.listen(engine.sync_engine, "before_cursor_execute", begin)
    event.listen(engine.sync_engine, "after_cursor_execute", end)
    event.listen(engine.sync_engine, "handle_error", fail)
