"""Which versions there are, which of them answer, and which one a caller means."""

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import structlog

from ondeck_core.errors import ArtifactRefusedError, ModelNotLoadedError, NotFoundError
from ondeck_core.judgement import Evaluation
from ondeck_core.manifest import PRODUCTION, Manifest
from ondeck_core.names import canonical
from ondeck_server.models.loaded import LoadedVersion, load
from ondeck_store.artifacts.claims import read_evaluation, read_manifest
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
    manifest: Manifest | None = None
    evaluation: Evaluation | None = None
    loaded: LoadedVersion | None = None


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


class Models:
    """The versions of a repository. Those that an alias points to are loaded; a refused one keeps nobody else down."""

    def __init__(self, models: Path) -> None:
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
        """Find the version that is meant and can answer.

        Raises:
            NotFoundError: there is no such model, version or alias.
            ModelNotLoadedError: the version is there and does not answer.
        """
        version, alias = self.find(wanted)
        if version.loaded is None:
            reason = version.reason or "no alias points to it"
            raise ModelNotLoadedError(version.model, version.number, reason)
        return Chosen(version=version.loaded, alias=alias)

    @property
    def actual(self) -> dict[str, dict[str, int]]:
        """Tell for each model which version each alias answers with; one that answers with none is left out."""
        return {model: self._answering(line) for model, line in self.lines.items()}

    def _answering(self, line: Line) -> dict[str, int]:
        loaded = {number for (model, number), each in self.versions.items() if model == line.model and each.loaded}
        return {alias: number for alias, number in line.aliases.items() if number in loaded}

    def serving(self) -> dict[str, bool]:
        """Tell for each model with a production alias whether that version answers."""
        return {
            model: (model, line.aliases[PRODUCTION]) in self.versions
            and self.versions[model, line.aliases[PRODUCTION]].state is State.LOADED
            for model, line in self.lines.items()
            if PRODUCTION in line.aliases
        }

    def _numbered(self, line: Line, number: int) -> Version:
        version = self.versions.get((line.model, number))
        if version is None:
            raise NotFoundError("version", f"{line.model}/{number}", [str(known) for known in line.versions])
        return version


def _open(models: Path, line: Line, number: int) -> Version:
    folder = models / line.model / str(number)
    aliases = tuple(sorted(alias for alias, target in line.aliases.items() if target == number))
    try:
        loaded = load(folder, line.model, number) if aliases else None
        manifest = loaded.manifest if loaded else read_manifest(folder, line.model, number)
        evaluation = loaded.evaluation if loaded else read_evaluation(folder)
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
