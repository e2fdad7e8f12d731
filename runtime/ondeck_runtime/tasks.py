"""asyncio tasks: wait for the first of several, and background work, of which no failure stays unnoticed."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar, cast

import structlog

from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.metrics import CounterFamily, MetricsBlock

FIRST_RESTART_SECONDS: Final = 0.5
LONGEST_RESTART_SECONDS: Final = 60.0
STABLE_SECONDS: Final = 120.0  # a task that ran so long did not fail because of how it starts
FAILURES: Final = CounterFamily("ondeck_task_failures", "failures of background tasks; the log has each", ("task",))
RESTARTS: Final = CounterFamily("ondeck_task_restarts", "restarts of background tasks that failed", ("task",))

T = TypeVar("T")

log = structlog.get_logger()


class TaskMonitor:
    """Runs named background work: each failure is logged as `task_failed` and counted."""

    def __init__(self, metrics: MetricsBlock) -> None:
        self._metrics = metrics
        metrics.declare(FAILURES, RESTARTS)

    @asynccontextmanager
    async def restarting(self, **work: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
        """Run endless work by name within the block; work that fails or returns starts again, after a growing pause."""
        async with background(*(self._restart(name, each) for name, each in work.items())):
            yield

    def spawn(self, name: str, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Start work that ends, and is not started again after a failure."""
        task = asyncio.get_running_loop().create_task(work, name=name)

        def conclude(done: "asyncio.Task[T]") -> None:
            if not done.cancelled() and (failed := done.exception()) is not None:
                self.record(name, failed)

        task.add_done_callback(conclude)
        return task

    async def _restart(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        failures = 0
        while True:
            begin, failed = time.monotonic(), None
            try:
                await work()
            except Exception as error:  # noqa: BLE001  the task starts again after any error
                failed = error
            failures = 1 if time.monotonic() - begin > STABLE_SECONDS else failures + 1
            pause = backoff_seconds(failures, first=FIRST_RESTART_SECONDS, longest=LONGEST_RESTART_SECONDS)
            self.record(name, failed, next_start_in_seconds=pause)
            failed = None  # its traceback holds this frame
            await asyncio.sleep(pause)
            self._metrics.counter(RESTARTS, name).inc()

    def record(self, name: str, failed: BaseException | None, **fields: object) -> None:
        """Log and count a failure of a task; None: it returned, and should not have."""
        self._metrics.counter(FAILURES, name).inc()
        reason = f"{type(failed).__name__}: {failed}" if failed is not None else "it returned, and should not"
        log.error("task_failed", task=name, reason=reason, exc_info=failed, **fields)


async def wait_first(*awaited: "asyncio.Event | asyncio.Task[Any]") -> None:
    """Wait until one of the events is set or one of the tasks is done; does not cancel or await the others."""
    waits = [asyncio.create_task(each.wait()) for each in awaited if isinstance(each, asyncio.Event)]
    tasks = [each for each in awaited if isinstance(each, asyncio.Task)]
    try:
        await asyncio.wait([*waits, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


@asynccontextmanager
async def background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines as tasks within the block; at its end cancel them and wait until they have stopped."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def run_abandonable(work: Callable[[], T]) -> T:
    """Run blocking work in a daemon thread; if the caller is cancelled, the thread is left and delays no exit.

    For calls into the system that nothing else can end. `work` must not touch what a later caller uses.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def conclude(result: T | None, failed: BaseException | None) -> None:
        if outcome.done():
            return
        if failed is not None:
            outcome.set_exception(failed)
        else:
            outcome.set_result(cast("T", result))

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as failed:  # noqa: BLE001  raised again in the caller
            error = failed
        with suppress(RuntimeError):  # the loop is closed: the caller is gone
            loop.call_soon_threadsafe(conclude, result, error)

    threading.Thread(target=run, daemon=True).start()
    return await outcome
