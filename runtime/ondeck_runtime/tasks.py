"""Helpers for asyncio tasks."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar, cast

T = TypeVar("T")


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
