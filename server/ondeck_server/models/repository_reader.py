"""Reads the model repository again after each change, found by file events and by a periodic poll."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import structlog
from watchfiles import awatch

from ondeck_core.errors import ArtifactRefusedError, printable
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_registry.file_reader import UnreadableFileError, list_folder
from ondeck_registry.repository import ModelEntry, read_any_manifest, read_evaluation, read_repository
from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.models.reconciler import Key, Stamp

_DEBOUNCE_MS: Final = 200
_WATCH_AGAIN_SECONDS: Final = 60.0  # after a failure of the watcher
_STALL_SECONDS: Final = 3.0

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RepositoryVersion:
    """A published version; `unreadable` is the reason why it has no manifest or no evaluation.

    With `is_retried` the operating system was the reason, so that a later read may succeed with the same stamp.
    """

    stamp: Stamp
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None
    unreadable: str = ""
    is_retried: bool = False


class RepositoryReader:
    """The repository as of the last read; manifests are parsed again only if files have changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: Mapping[str, ModelEntry] = {}
        self.versions: Mapping[Key, RepositoryVersion] = {}

    def read(self) -> tuple[Mapping[str, ModelEntry], Mapping[Key, RepositoryVersion]]:
        """Read the repository; blocks, and leaves `entries` and `versions` unchanged.

        A model whose aliases or folder cannot be read keeps those of the last read.

        Raises:
            ArtifactRefusedError: the repository cannot be read as a whole.
        """
        entries = {entry.model: self._keep_known(entry) for entry in read_repository(self.folder)}
        versions = {
            (entry.model, number): self._read_version(entry.model, number)
            for entry in entries.values()
            for number in entry.versions
        }
        return entries, versions

    def folder_of(self, key: Key) -> Path:
        """Return the folder of a version."""
        model, number = key
        return self.folder / model / str(number)

    def _keep_known(self, entry: ModelEntry) -> ModelEntry:
        before = self.entries.get(entry.model)
        if before is None or entry.has_known_aliases:
            return entry
        return replace(entry, aliases=before.aliases, versions=entry.versions or before.versions)

    def _read_version(self, model: str, number: int) -> RepositoryVersion:
        folder = self.folder_of((model, number))
        stamp = stamp_of(folder)
        before = self.versions.get((model, number))
        if before is not None and before.stamp == stamp and not before.is_retried:
            return before
        try:
            manifest = read_any_manifest(folder, model, number)
            evaluation = read_evaluation(folder) if isinstance(manifest, Manifest) else None
            return RepositoryVersion(stamp=stamp, manifest=manifest, evaluation=evaluation)
        except ArtifactRefusedError as refused:
            is_retried = isinstance(refused, UnreadableFileError)
            return RepositoryVersion(stamp=stamp, unreadable=printable(str(refused)), is_retried=is_retried)


def stamp_of(folder: Path) -> Stamp:
    """Return a value that differs after any change of a version's files; empty if the folder cannot be read."""
    try:
        return tuple(_stamp_of_file(folder / name) for name in list_folder(folder))
    except ArtifactRefusedError:
        return ()


def _stamp_of_file(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError as failed:  # a loop of symbolic links, for example
        return path.name, -1, failed.errno or 0
    return path.name, status.st_size, status.st_mtime_ns


async def wait_for_read(read: "asyncio.Future[T]") -> T:
    """Return the result of a read that runs in a thread; log if the file system does not answer, and when it does.

    No thread that waits for a file system can be interrupted: the read, and all later ones, last until it answers.
    """
    begin = time.monotonic()
    done, _ = await asyncio.wait([read], timeout=_STALL_SECONDS)
    if not done:
        log.warning(
            "repository_read_stalled",
            detail="file system of the repository does not answer; loaded versions serve, changes wait",
            seconds=_STALL_SECONDS,
        )
        await asyncio.wait([read])
        log.info("repository_read_resumed", detail="file system answers", seconds=round(time.monotonic() - begin, 1))
    return await read


@asynccontextmanager
async def watch_repository(
    folder: Path, refresh: Callable[[], Awaitable[None]], poll_seconds: float, tasks: TaskMonitor
) -> AsyncIterator[None]:
    """Await `refresh` at once, after each change in the folder and every `poll_seconds`, within the block."""
    events = partial(_refresh_on_events, folder, refresh)
    poll = partial(_refresh_periodically, refresh, poll_seconds)
    async with tasks.restarting(repository_events=events, repository_poll=poll):
        await asyncio.sleep(0)  # the first step of the task sets the watches; the refresh below finds earlier changes
        await _refresh(refresh)
        yield


async def _refresh_on_events(folder: Path, refresh: Callable[[], Awaitable[None]]) -> None:
    """Refresh on file events; network file systems report none, and inotify watches may run out: the poll remains.

    The watcher fails at a name that is not UTF-8, too; so it starts again later, when that may be gone.
    """
    while True:
        try:
            async for _ in awatch(folder, debounce=_DEBOUNCE_MS, step=50, watch_filter=None):
                await _refresh(refresh)
        except Exception as failed:  # noqa: BLE001  no failure of the file watcher may stop the server
            reason = printable(str(_first_error(failed)))
            log.warning("watch_failed", detail="repository is polled only, for some time", reason=reason)
        await asyncio.sleep(_WATCH_AGAIN_SECONDS)


def _first_error(failed: Exception) -> Exception:
    """Return the error behind the groups in which the watcher's thread wraps it."""
    while isinstance(failed, ExceptionGroup):
        failed = failed.exceptions[0]
    return failed


async def _refresh_periodically(refresh: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _refresh(refresh)


async def _refresh(refresh: Callable[[], Awaitable[None]]) -> None:
    try:
        await refresh()
    except Exception as failed:  # noqa: BLE001  no content of the repository may stop the server
        log.warning("repository_unreadable", detail="repository cannot be read", reason=printable(str(failed)))
