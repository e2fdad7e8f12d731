"""Which versions there are, which of them answer, and which one a caller means."""

import asyncio
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Self

import structlog

from ondeck_core.errors import ArtifactRefusedError, ModelNotLoadedError, NotFoundError
from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import PRODUCTION, GraphManifest, Manifest
from ondeck_core.names import canonical
from ondeck_server.models.loaded import LoadedGraph, LoadedVersion, load_any, of_task
from ondeck_store.artifacts.claims import read_any_manifest, read_evaluation
from ondeck_store.artifacts.repository import Line, read_repository

log = structlog.get_logger()


class State(Enum):
    """Whether a version can answer."""

    PRESENT = "present"
    LOADED = "loaded"
    REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Version:
    """One version of a model as this server has it; `manifest` is None where it cannot be read."""

    model: str
    number: int
    state: State
    aliases: tuple[str, ...]
    reason: str = ""
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None
    loaded: LoadedGraph | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Whom a caller asks: a model, and a version of it by number or by alias; neither means `production`."""

    model: str
    version: int | None = None
    alias: str | None = None


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A version that answers, and the alias through which it was chosen ("" if by number)."""

    version: LoadedVersion
    alias: str


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A hold on a version that answers."""

    version: LoadedGraph
    alias: str

    def release(self) -> None:
        """Let go of it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


class Models:
    """The versions of a repository. Those that an alias points to are loaded; a refused one keeps nobody else down."""

    def __init__(self, models: Path) -> None:
        self._folder = models
        self.lines = {line.model: line for line in read_repository(models)}
        self.versions = {
            (line.model, number): _open(models, line, number)
            for line in self.lines.values()
            for number in line.versions
        }

    def find(self, wanted: Wanted) -> tuple[Version, str]:
        """Find the version that is meant, loaded or not, and the alias through which it was.

        Raises:
            NotFoundError: there is no such model, version or alias.
        """
        line = self.lines.get(canonical(wanted.model))
        if line is None:
            raise NotFoundError("model", wanted.model, sorted(self.lines))
        if wanted.version is not None:
            return self._numbered(line, wanted.version), ""
        alias = wanted.alias or PRODUCTION
        if alias not in line.aliases:
            raise NotFoundError("alias", f"{line.model}@{alias}", sorted(line.aliases))
        return self._numbered(line, line.aliases[alias]), alias

    def choose(self, wanted: Wanted) -> Chosen:
        """Find the version of a task that is meant and can answer; errors as `lease`, and NoTaskError."""
        with self.lease(wanted) as lease:
            return Chosen(version=of_task(lease.version), alias=lease.alias)

    async def wish(self, model: str, *, loaded: bool) -> None:
        """Have the newest version of a model loaded, or all of them let go of.

        Raises:
            NotFoundError: there is no such model.
        """
        line = self.lines.get(canonical(model))
        if line is None:
            raise NotFoundError("model", model, sorted(self.lines))
        if loaded:
            number = line.aliases.get(PRODUCTION, max(line.versions))
            opened = await asyncio.to_thread(_open, self._folder, line, number, wanted=True)
            self.versions[line.model, number] = opened
            return
        for number in line.versions:
            version = self.versions[line.model, number]
            self.versions[line.model, number] = replace(version, state=State.PRESENT, loaded=None, reason="unloaded")

    def lease(self, wanted: Wanted) -> Lease:
        """Hold the version that is meant and can answer.

        Raises:
            NotFoundError: there is no such model, version or alias.
            ModelNotLoadedError: the version is there and does not answer.
        """
        version, alias = self.find(wanted)
        if version.loaded is None:
            reason = version.reason or "no alias points to it"
            raise ModelNotLoadedError(version.model, version.number, reason)
        return Lease(version=version.loaded, alias=alias)

    def serving(self) -> dict[str, bool]:
        """Tell for each model with a production alias whether that version answers."""
        return {
            model: (model, line.aliases[PRODUCTION]) in self.versions
            and self.versions[model, line.aliases[PRODUCTION]].state is State.LOADED
            for model, line in self.lines.items()
            if PRODUCTION in line.aliases
        }

    def ready(self) -> bool:
        """Tell whether there are models to serve, and all of them do."""
        serving = self.serving()
        return bool(serving) and all(serving.values())

    def _numbered(self, line: Line, number: int) -> Version:
        version = self.versions.get((line.model, number))
        if version is None:
            raise NotFoundError("version", f"{line.model}/{number}", [str(known) for known in line.versions])
        return version


def _open(models: Path, line: Line, number: int, *, wanted: bool = False) -> Version:
    folder = models / line.model / str(number)
    aliases = tuple(sorted(alias for alias, target in line.aliases.items() if target == number))
    try:
        loaded = load_any(folder, line.model, number) if aliases or wanted else None
        manifest = loaded.manifest if loaded else read_any_manifest(folder, line.model, number)
        evaluation = read_evaluation(folder) if isinstance(manifest, Manifest) else None
    except ArtifactRefusedError as refused:
        log.warning("version refused", model=line.model, version=number, reason=str(refused))
        return Version(model=line.model, number=number, state=State.REFUSED, aliases=aliases, reason=str(refused))
    return Version(
        model=line.model,
        number=number,
        state=State.LOADED if loaded else State.PRESENT,
        aliases=aliases,
        manifest=manifest,
        evaluation=evaluation,
        loaded=loaded,
    )
