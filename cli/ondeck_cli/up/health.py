"""Ask a server whether it is ready, by its admin page: that one is the same however calls are secured."""

import asyncio
from typing import Final

import aiohttp

POLL_SECONDS: Final = 0.5
CALL_SECONDS: Final = 5.0


async def until_serving(admin: str) -> None:
    """Wait until the whole server says that it is ready; `admin` is the address of its admin pages."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as session:
        while not await _serves(session, f"{admin}/readyz"):  # noqa: ASYNC110  what is waited for happens in another process
            await asyncio.sleep(POLL_SECONDS)


async def _serves(session: aiohttp.ClientSession, page: str) -> bool:
    try:
        async with session.get(page) as told:
            return told.ok
    except (aiohttp.ClientError, TimeoutError):
        return False
