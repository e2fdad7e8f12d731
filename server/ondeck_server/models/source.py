"""The source: what lies in the repository, and which of it ought to be loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_registry.repository import ModelEntry, read_any_manifest, read_evaluation, read_repository
from ondeck_server.version_policy import VersionPolicy

Key: TypeAlias = tuple[str, int]  # a model and the number of a version
Stamp: TypeAlias = tuple[tuple[str, int, int], ...]  # of each file its name, size and time of change
Aliases: TypeAlias = Mapping[str, Mapping[str, int]]  # by model and alias


@dataclass(frozen=True, kw_only=True)
class RepositoryVersion:
    """A version as it lies in the repository; `unreadable` says why it has no manifest or no evaluation."""

    stamp: Stamp
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None
    unreadable: str = ""


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """What ought to be: which versions there are, which of them loaded, and which aliases point where."""

    stamps: Mapping[Key, Stamp]
    loaded: frozenset[Key]
    aliases: Aliases


def desired_state(
    entries: Mapping[str, ModelEntry], stamps: Mapping[Key, Stamp], policy: VersionPolicy, unloaded: frozenset[str]
) -> DesiredState:
    """Tell what ought to be; of a model that somebody had `unloaded`, nothing."""
    wanted = {model: entry for model, entry in entries.items() if model not in unloaded}
    return DesiredState(
        stamps=stamps,
        loaded=frozenset(
            (model, number)
            for model, entry in wanted.items()
            for number in policy.of(model).choose(entry.versions) | (set(entry.aliases.values()) & set(entry.versions))
        ),
        aliases={model: entry.aliases for model, entry in wanted.items()},
    )


class RepositoryReader:
    """The folder, looked at again and again; claims are read again only where files have changed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.entries: Mapping[str, ModelEntry] = {}
        self.versions: Mapping[Key, RepositoryVersion] = {}

    def read(self) -> tuple[Mapping[str, ModelEntry], Mapping[Key, RepositoryVersion]]:
        """Read what is there now; blocks, and changes nothing here.

        Raises:
            ArtifactRefusedError: the repository cannot be read as a whole.
        """
        entries = {entry.model: entry for entry in read_repository(self.folder)}
        versions = {
            (entry.model, number): self._see(entry.model, number)
            for entry in entries.values()
            for number in entry.versions
        }
        return entries, versions

    def folder_of(self, key: Key) -> Path:
        """Where a version lies."""
        model, number = key
        return self.folder / model / str(number)

    def _see(self, model: str, number: int) -> RepositoryVersion:
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
    """Tell what would change if somebody changed a file of a version; empty where the folder has gone."""
    try:
        found = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    except FileNotFoundError:
        return ()
    return tuple((name, status.st_size, status.st_mtime_ns) for name, status in found)
