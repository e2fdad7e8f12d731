"""The plumbing that the programs share: backoff, stop signals, tasks, and settings that load without a database."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.signals import STOP_SIGNALS, stop_event
from ondeck_runtime.tasks import background, wait_first


@pytest.mark.parametrize(
    ("failures", "seconds"), [(0, 0), (1, 0.5), (2, 1), (3, 2), (6, 16), (7, 30), (8, 30), (10_000, 30)]
)
def test_backoff_doubles_up_to_a_limit(failures: int, seconds: float) -> None:
    assert backoff_seconds(failures, first=0.5, longest=30) == seconds


async def test_stop_event_is_set_by_each_stop_signal() -> None:
    loop = asyncio.get_running_loop()
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            stop = stop_event()
            assert not stop.is_set()
            os.kill(os.getpid(), number)
            await asyncio.wait_for(stop.wait(), 5)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def test_wait_first_returns_with_the_first_event_or_task_and_cancels_no_task() -> None:
    event, never = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(never.wait())
    event.set()
    await wait_first(task, event)
    assert not task.done()
    never.set()
    await wait_first(task, asyncio.Event())
    assert task.result()


async def test_background_work_is_cancelled_and_awaited_at_the_end_of_the_block() -> None:
    steps: list[str] = []

    async def work() -> None:
        try:
            steps.append("started")
            await asyncio.Event().wait()
        finally:
            steps.append("stopped")

    async with background(work()):
        await asyncio.sleep(0)
        assert steps == ["started"]
    assert steps == ["started", "stopped"]


def test_settings_registry_and_server_load_without_a_database_library() -> None:
    code = (
        "import sys, ondeck_server.worker.main, ondeck_trainer.settings, ondeck_registry.promotion\n"
        "sys.exit('sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
