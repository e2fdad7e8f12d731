"""Background tasks: a failure is logged, counted, and the task starts again."""

import asyncio
import re

import pytest
from structlog.testing import capture_logs

from ondeck_runtime import tasks
from ondeck_runtime.metrics import MetricsBlock
from ondeck_runtime.metrics_page import MetricsPage
from ondeck_runtime.tasks import TaskMonitor


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "FIRST_RESTART_SECONDS", 0.001)


def counted(page: MetricsPage, metric: str, task: str) -> float:
    found = re.search(rf'^{metric}_total{{task="{task}"}} (\S+)$', page.text().decode(), re.MULTILINE)
    return float(found[1]) if found else 0


@pytest.fixture
def page() -> MetricsPage:
    return MetricsPage(MetricsBlock())


@pytest.mark.parametrize("fault", [ValueError("broken"), None])
async def test_a_task_that_fails_or_returns_starts_again(page: MetricsPage, fault: Exception | None) -> None:
    starts, works = 0, asyncio.Event()

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts == 3:
            works.set()
            await asyncio.Event().wait()
        if fault is not None:
            raise fault

    with capture_logs() as logged:
        async with TaskMonitor(page.own).restarting(polling=work), asyncio.timeout(20):
            await works.wait()
    reason = "ValueError: broken" if fault else "it returned, and should not"
    assert [(each["event"], each["task"], each["reason"]) for each in logged] == [
        ("task_failed", "polling", reason)
    ] * 2
    assert counted(page, "ondeck_task_failures", "polling") == 2
    assert counted(page, "ondeck_task_restarts", "polling") == 2


async def test_a_task_is_cancelled_at_the_end_of_its_block_without_a_failure(page: MetricsPage) -> None:
    ended = False

    async def work() -> None:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            ended = True

    async with TaskMonitor(page.own).restarting(waiting=work):
        await asyncio.sleep(0)
    assert ended
    assert counted(page, "ondeck_task_failures", "waiting") == 0


async def test_a_task_that_ends_is_counted_only_if_it_fails(page: MetricsPage) -> None:
    async def work(divisor: int) -> int:
        return 6 // divisor

    monitor = TaskMonitor(page.own)
    assert await monitor.spawn("division", work(3)) == 2
    with capture_logs() as logged, pytest.raises(ZeroDivisionError):
        await monitor.spawn("division", work(0))
    await asyncio.sleep(0)
    assert [each["event"] for each in logged] == ["task_failed"]
    assert counted(page, "ondeck_task_failures", "division") == 1
    assert counted(page, "ondeck_task_restarts", "division") == 0
