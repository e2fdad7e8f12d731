"""Prometheus metrics and health checks of the ingest worker, and the port that shows them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import QueuePool

from ondeck_core.errors import OndeckError
from ondeck_core.statcast.row_checks import REASON_CODES
from ondeck_ingest.jobs.queue import dead_jobs, summarize_queue
from ondeck_ingest.jobs.scheduler import newest_day, season_days
from ondeck_ingest.pipeline.load import LoadCounts
from ondeck_ingest.sources.circuit_breaker import OPEN, CircuitBreaker
from ondeck_runtime.health_checks import HealthCheck
from ondeck_runtime.http_pages import PageLimits, serve_pages, standard_routes
from ondeck_runtime.metrics import SLOW_SECONDS_BUCKETS, CounterFamily, GaugeFamily, HistogramFamily, MetricsBlock
from ondeck_runtime.metrics_page import MetricsPage
from ondeck_runtime.process_metrics import ProcessMetrics
from ondeck_runtime.tasks import TaskMonitor
from ondeck_store.ingest.ledger import days_done
from ondeck_store.ingest.quarantine import count_open
from ondeck_store.query_metrics import QUERY_SECONDS, measure_queries
from ondeck_store.served_predictions.scores import ServedAlarms, read_alarms

ROWS: Final = CounterFamily(
    "ondeck_ingest_rows",
    "rows ingested by this worker: `inserted`, `changed`, `unchanged`, `outdated` or `quarantined`",
    ("result",),
)
JOBS: Final = CounterFamily(
    "ondeck_ingest_jobs", "attempts at jobs: `succeeded`, `failed` (retried later) or `dead`", ("job", "result")
)
SOURCE_SECONDS: Final = HistogramFamily(
    "ondeck_source_request_seconds",
    "seconds from the request of a day to its decoded rows, retries included; `result` is `answered` or `failed`",
    ("source", "result"),
    SLOW_SECONDS_BUCKETS,
)
CIRCUIT_OPEN: Final = GaugeFamily("ondeck_circuit_open", "1 while the circuit breaker sends no requests", ("source",))
QUEUED: Final = GaugeFamily("ondeck_ingest_queue_jobs", "jobs in the queue of all workers, by state", ("state",))
QUARANTINED: Final = GaugeFamily("ondeck_quarantined_rows", "rows in quarantine, by reason code", ("code",))
DAYS_BEHIND: Final = GaugeFamily(
    "ondeck_ledger_days_behind", "days of the look-back that are over, in season, and not ingested", ("source",)
)
SERVED_ALARMS: Final = GaugeFamily(
    "ondeck_served_alarms",
    "alarms of served predictions, of the newest day of each metric; `pages` is `true` for log loss and calibration",
    ("model", "version", "pages"),
)
CONNECTIONS: Final = GaugeFamily(
    "ondeck_database_connections", "connections of the pool to the database: `in_use` or `idle`", ("state",)
)
ALARM_DAYS: Final = 14  # after which a version that is no longer scored has no alarms
SAMPLE_SECONDS: Final = 15.0  # between two looks at the database
STATES: Final = ("queued", "running", "dead")
RESULTS: Final = ("inserted", "changed", "unchanged", "outdated", "quarantined")
HOST: Final = "127.0.0.1"
_LIMITS: Final = PageLimits(connections=16, seconds=15.0)

log = structlog.get_logger()


class AdminPortError(OndeckError):
    """The port of ONDECK_INGEST_ADMIN_PORT is in use."""


class IngestMetrics:
    """What an ingest worker counts; `database_fault` is why the database is not open, "" if it is.

    `now` is the clock: also without the database, a day that is over and not known as ingested is behind.
    """

    def __init__(
        self, block: MetricsBlock | None = None, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._now = now
        self._ingested: dict[str, tuple[int, set[date]]] = {}
        self.block = block or MetricsBlock()
        self.page = MetricsPage(self.block)
        self.tasks = TaskMonitor(self.block)
        self.database_fault = "it has not been opened yet"
        self._circuits: dict[str, CircuitBreaker] = {}
        self._pool: QueuePool | None = None
        self._codes: set[str] = set()
        self._scored: set[tuple[str, str]] = set()
        self._rows = {result: self.block.counter(ROWS, result) for result in RESULTS}
        self.block.declare(
            JOBS,
            SOURCE_SECONDS,
            CIRCUIT_OPEN,
            QUEUED,
            QUARANTINED,
            DAYS_BEHIND,
            SERVED_ALARMS,
            CONNECTIONS,
            QUERY_SECONDS,
        )
        self.page.before_read(self._refresh)

    def watch(self, engine: AsyncEngine, breaker: CircuitBreaker) -> None:
        """Measure a database, show its pool and the circuit breaker of a source."""
        self._circuits[breaker.state.source] = breaker
        measure_queries(engine, self.block)
        if isinstance(engine.pool, QueuePool):
            self._pool = engine.pool

    def count_job(self, job: str, result: str) -> None:
        """Count an attempt at a job."""
        self.block.counter(JOBS, job, result).inc()

    def count_rows(self, counts: LoadCounts) -> None:
        """Count the rows of a unit."""
        for result, counter in self._rows.items():
            counter.inc(counts.numbers[result])

    def observe_request(self, source: str, seconds: float, *, is_answered: bool) -> None:
        """Count a request to a source."""
        result = "answered" if is_answered else "failed"
        self.block.histogram(SOURCE_SECONDS, source, result).observe(seconds)

    def checks(self) -> list[HealthCheck]:
        """Return the health checks; an open circuit breaker is no fault of the worker."""
        faults = (self.database_fault,) if self.database_fault else ()
        reasons = [
            f"{each.state.source} until {each.state.until:%Y-%m-%d %H:%M:%S} UTC: {each.state.reason}"
            for each in self._circuits.values()
            if each.seconds_left() and each.state.until
        ]
        return [
            HealthCheck(name="database", faults=faults),
            HealthCheck(name="sources", faults=tuple(reasons), is_required=False),
        ]

    async def sample_database(self, connection: AsyncConnection, source: str, lookback_days: int) -> None:
        """Set the gauges of queue, quarantine, ledger and served predictions."""
        queue = await summarize_queue(connection)
        for state, count in zip(STATES, (queue.queued, queue.running, len(await dead_jobs(connection))), strict=True):
            self.block.gauge(QUEUED, state).set(count)
        # 0 for a code without rows: a delta does not see the first rows of a series that was not there before
        open_rows = dict.fromkeys(REASON_CODES, 0) | await count_open(connection)
        for code in self._codes - open_rows.keys():
            self.block.remove([QUARANTINED], code)
        self._codes = set(open_rows)
        for code, rows in open_rows.items():
            self.block.gauge(QUARANTINED, code).set(rows)
        newest = newest_day(self._now())
        done = await days_done(connection, source, newest - timedelta(days=lookback_days), newest)
        self._ingested[source] = lookback_days, done
        self._set_alarms(await read_alarms(connection, ALARM_DAYS))

    def _set_alarms(self, alarms: Sequence[ServedAlarms]) -> None:
        scored = {(each.model, str(each.version)) for each in alarms}
        for model, version in self._scored - scored:
            self.block.remove([SERVED_ALARMS], model, version)
        self._scored = scored
        for each in alarms:
            self.block.gauge(SERVED_ALARMS, each.model, str(each.version), "true").set(each.paging)
            self.block.gauge(SERVED_ALARMS, each.model, str(each.version), "false").set(each.other)

    def _refresh(self) -> None:
        for source, (lookback_days, done) in self._ingested.items():
            behind = set(season_days(self._now(), lookback_days)) - done
            self.block.gauge(DAYS_BEHIND, source).set(len(behind))
        for source, breaker in self._circuits.items():
            self.block.gauge(CIRCUIT_OPEN, source).set(breaker.state.state == OPEN and breaker.seconds_left() > 0)
        if self._pool is not None:
            self.block.gauge(CONNECTIONS, "in_use").set(self._pool.checkedout())
            self.block.gauge(CONNECTIONS, "idle").set(self._pool.checkedin())


@asynccontextmanager
async def admin_port(port: int | None, metrics: IngestMetrics) -> AsyncIterator[str]:
    """Show metrics and health of this process on a loopback port within the block, and yield its URL; None: nowhere.

    Raises:
        AdminPortError: the port is in use.
    """
    samples = ProcessMetrics(metrics.block, "ingest").sample_periodically
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(metrics.tasks.restarting(process_samples=samples))
        url = ""
        if port is not None:
            routes = standard_routes(metrics.checks, metrics.page.text)
            try:
                url = f"http://{HOST}:{await stack.enter_async_context(serve_pages(HOST, port, routes, _LIMITS))}"
            except OSError as failed:
                raise AdminPortError(f"cannot listen on {HOST}:{port}: {failed.strerror}") from failed
            log.info("admin_port_opened", url=url)
        yield url
