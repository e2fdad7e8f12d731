"""Helpers for asyncio tasks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any


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
