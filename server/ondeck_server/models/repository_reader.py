"""Reads the model repository again after each change, found by file events and by a periodic poll."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from watchfiles import awatch

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_registry.repository import ModelEntry, read_any_manifest, read_evaluation, read_repository
from ondeck_runtime.tasks import background
from ondeck_server.models.reconciler import Key, Stamp

_DEBOUNCE_MS: Final = 200

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class RepositoryVersion:
    """A published version; `unreadable` is the reason why it has no manifest or no evaluation."""

    stamp: Stamp
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None
    unreadable: str = ""


class RepositoryReader:
    """The repository as of the last read; manifests are parsed again only if files have changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: Mapping[str, ModelEntry] = {}
        self.versions: Mapping[Key, RepositoryVersion] = {}

    def read(self) -> tuple[Mapping[str, ModelEntry], Mapping[Key, RepositoryVersion]]:
        """Read the repository; blocks, and leaves `entries` and `versions` unchanged.

        Raises:
            ArtifactRefusedError: the repository cannot be read as a whole.
        """
        entries = {entry.model: entry for entry in read_repository(self.folder)}
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

    def _read_version(self, model: str, number: int) -> RepositoryVersion:
        folder = self.folder_of((model, number))
        stamp = stamp_of(folder)
        before = self.versions.get((model, number))
        if before is not None and before.stamp == stamp:
            return before
        try:
            manifest = read_any_manifest(folder, model, number)
            evaluation = read_evaluation(folder) if isinstance(manifest, Manifest) else None
            return RepositoryVersion(stamp=stamp, manifest=manifest, evaluation=evaluation)
        except ArtifactRefusedError as refused:
            return RepositoryVersion(stamp=stamp, unreadable=str(refused))


def stamp_of(folder: Path) -> Stamp:
    """Return a value that differs after any change of a version's files; empty if the folder does not exist."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except FileNotFoundError:
        return ()
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)


@asynccontextmanager
async def watch_repository(
    folder: Path, refresh: Callable[[], Awaitable[None]], poll_seconds: float
) -> AsyncIterator[None]:
    """Await `refresh` at once, after each change in the folder and every `poll_seconds`, within the block."""
    async with background(_refresh_on_events(folder, refresh), _refresh_periodically(refresh, poll_seconds)):
        await asyncio.sleep(0)  # the first step of the task sets the watches; the refresh below finds earlier changes
        await _refresh(refresh)
        yield


async def _refresh_on_events(folder: Path, refresh: Callable[[], Awaitable[None]]) -> None:
    """Refresh on file events; network file systems report none, and inotify watches may run out: the poll remains."""
    try:
        async for _ in awatch(folder, debounce=_DEBOUNCE_MS, step=50, watch_filter=None):
            await _refresh(refresh)
    except Exception as failed:  # noqa: BLE001  no failure of the file watcher may stop the server
        log.warning("watch_failed", detail="repository is polled only", reason=str(failed))


async def _refresh_periodically(refresh: Callable[[], Awaitable[None]], seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        await _refresh(refresh)


async def _refresh(refresh: Callable[[], Awaitable[None]]) -> None:
    try:
        await refresh()
    except (ArtifactRefusedError, OSError) as failed:
        log.warning("repository_unreadable", detail="repository cannot be read", reason=str(failed))
