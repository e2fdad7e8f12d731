"""Helpers for asyncio tasks."""

import asyncio
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
