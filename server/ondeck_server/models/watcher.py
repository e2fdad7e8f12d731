"""Looking again whenever the repository changes: told by the operating system, and from time to time unasked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from watchfiles import awatch

from ondeck_core.errors import ArtifactRefusedError
from ondeck_server.models.manager import ModelManager

log = structlog.get_logger()

_TOGETHER_MS = 200  # changes that come so close to each other are one


@asynccontextmanager
async def watch_repository(models: ModelManager, repository_poll_seconds: float) -> AsyncIterator[None]:
    """Apply changes of the repository within the block, found by file events and by a poll every so many seconds."""
    tasks = [
        asyncio.create_task(_when_told(models)),
        asyncio.create_task(_now_and_then(models, repository_poll_seconds)),
    ]
    try:
        await asyncio.sleep(0)  # the watches are set in the first step of their task: what came before is looked for
        await _look(models)
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def _when_told(models: ModelManager) -> None:
    """Network file systems tell nothing, and a machine may be out of watches: then the looks now and then remain."""
    try:
        async for _ in awatch(models.repository.folder, debounce=_TOGETHER_MS, step=50, watch_filter=None):
            await _look(models)
    except Exception as failed:  # noqa: BLE001  whatever the watcher's trouble is, it is not the server's
        log.warning("repository not watched", reason=str(failed))


async def _now_and_then(models: ModelManager, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _look(models)


async def _look(models: ModelManager) -> None:
    try:
        await models.refresh()
    except (ArtifactRefusedError, OSError) as failed:
        log.warning("repository unreadable", reason=str(failed))
