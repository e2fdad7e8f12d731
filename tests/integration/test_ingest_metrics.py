"""Metrics and health of the ingest worker on its own port."""

import asyncio
import re
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest

from ondeck_core.errors import OndeckError
from ondeck_core.statcast.row_checks import REASON_CODES
from ondeck_ingest.jobs.metrics import IngestMetrics, admin_port
from ondeck_store.database import Database
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply
from tests.integration.test_ingest_worker import (
    FIRST,
    MakeWorker,
    enqueue_days,
    is_done,
    make_worker,
    running_workers,
    wait_until,
)
from tools.fill_document_tables import declared_metrics, exported_name

__all__ = ["make_worker"]  # a fixture


async def read(url: str) -> tuple[int, str]:
    def request() -> tuple[int, str]:
        try:
            with urllib.request.urlopen(url, timeout=20) as response:  # noqa: S310  a page of this process
                return response.status, response.read().decode()
        except urllib.error.HTTPError as failed:
            return failed.code, failed.read().decode()

    return await asyncio.to_thread(request)


async def value(url: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", (await read(f"{url}/metrics"))[1], re.MULTILINE)
    return None if found is None else float(found[1])


async def test_a_worker_exports_what_it_ingests(
    make_worker: MakeWorker, savant: FakeSavant, database: Database
) -> None:
    worker = make_worker(attempts=2)
    cells = sample_cells(FIRST, days=1)
    failing = FIRST + timedelta(days=1)
    savant.replies = {FIRST: Reply(body=as_csv(cells)), failing: Reply(status=500)}
    await enqueue_days(database, [FIRST, failing])
    async with admin_port(0, worker.metrics) as url:
        assert await read(f"{url}/livez") == (200, "[+]ping ok\nlivez check passed\n")
        assert (await read(f"{url}/readyz"))[0] == 503
        worker.metrics.database_fault = ""
        assert await read(f"{url}/readyz") == (200, "[+]database ok\n[+]sources ok\nreadyz check passed\n")
        async with running_workers(worker):
            await wait_until(lambda: is_done(database))
            assert await value(url, 'ondeck_ingest_rows_total{result="inserted"}') == cells.height
            assert await value(url, 'ondeck_ingest_jobs_total{job="day",result="succeeded"}') == 1
            assert await value(url, 'ondeck_ingest_jobs_total{job="day",result="failed"}') == 1
            assert await value(url, 'ondeck_ingest_jobs_total{job="day",result="dead"}') == 1
            for result, count in (("answered", 1), ("failed", 2)):
                series = f'ondeck_source_request_seconds_count{{result="{result}",source="savant"}}'
                assert await value(url, series) == count
            assert await value(url, 'ondeck_circuit_open{source="savant"}') == 0
            assert (await value(url, 'ondeck_database_connections{state="in_use"}') or 0) >= 1
            assert await value(url, 'ondeck_ingest_queue_jobs{state="queued"}') is not None
            assert await value(url, 'ondeck_ledger_days_behind{source="savant"}') is not None
            for code in REASON_CODES:  # without a row of it, so that an alert sees the first
                assert await value(url, f'ondeck_quarantined_rows{{code="{code}"}}') == 0


async def test_the_table_of_the_documentation_is_what_a_worker_exports() -> None:
    async with admin_port(0, IngestMetrics()) as url:
        text = (await read(f"{url}/metrics"))[1]
    exported = set(re.findall(r"^# TYPE (\S+) ", text, re.MULTILINE))
    declared = {
        exported_name(family) for program, family in declared_metrics() if program in {"ingest", "runtime", "store"}
    }
    assert exported == declared


async def test_a_port_in_use_is_named() -> None:
    async with admin_port(0, IngestMetrics()) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(OndeckError, match=f"cannot listen on 127.0.0.1:{port}"):
            async with admin_port(port, IngestMetrics()):
                pass


async def test_without_a_port_nothing_listens() -> None:
    async with admin_port(None, IngestMetrics()) as url:
        assert url == ""


async def test_days_fall_behind_while_the_database_is_lost(database: Database) -> None:
    clock = [datetime(2024, 2, 21, 15, tzinfo=UTC)]  # the first day in season, 20 February, is over
    metrics = IngestMetrics(now=lambda: clock[0])
    async with database.engine.connect() as connection:
        await metrics.sample_database(connection, "savant", 14)
    assert 'ondeck_ledger_days_behind{source="savant"} 1.0' in metrics.page.text().decode()
    clock[0] += timedelta(days=3)
    assert 'ondeck_ledger_days_behind{source="savant"} 4.0' in metrics.page.text().decode()
