"""Waiting for whichever comes first."""

import asyncio


async def wait_first(*awaited: "asyncio.Event | asyncio.Task[None]") -> None:
    """Wait until one of these is set or done; tasks go on."""
    waits = [asyncio.create_task(each.wait()) for each in awaited if isinstance(each, asyncio.Event)]
    tasks = [each for each in awaited if isinstance(each, asyncio.Task)]
    try:
        await asyncio.wait([*waits, *tasks], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
