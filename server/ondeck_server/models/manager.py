"""The manager: does what the policy says, off the serving path, and hands out leases on what answers."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from ondeck_core.errors import ArtifactRefusedError, ModelNotLoadedError, NotFoundError
from ondeck_core.manifest import PRODUCTION
from ondeck_server.batching.batcher import BatchingConfig
from ondeck_server.batching.stats import InferenceStats
from ondeck_server.models import catalog
from ondeck_server.models.catalog import ModelRef, ResolvedVersion, VersionInfo
from ondeck_server.models.heap import give_back, let_go
from ondeck_server.models.loader import LoadedGraph, load_any
from ondeck_server.models.metrics import VersionMetrics
from ondeck_server.models.reconciler import (
    Action,
    ClearAlias,
    LoadVersion,
    SetAlias,
    UnloadVersion,
    VersionState,
    VersionStatus,
    next_action,
)
from ondeck_server.models.resource_metrics import ResourceMetrics
from ondeck_server.models.servable import Lease, Servable, TaskLease
from ondeck_server.models.source import DesiredState, Key, RepositoryReader, RepositoryVersion, Stamp, aspire
from ondeck_server.version_policy import VersionPolicy

log = structlog.get_logger()


class ModelManager:
    """The versions of a repository, as one process serves them."""

    def __init__(
        self, folder: Path, rules: VersionPolicy, manners: BatchingConfig, registry: CollectorRegistry
    ) -> None:
        self.repository = RepositoryReader(folder)
        self.actual: dict[str, dict[str, int]] = {}
        self.unloaded: frozenset[str] = frozenset()
        self.tallies: dict[Key, InferenceStats] = {}
        self.holdings = ResourceMetrics(registry)
        self._rules = rules
        self._manners = manners
        self._measures = VersionMetrics(registry)
        self._standings: dict[Key, VersionStatus] = {}
        self._reasons: dict[Key, str] = {}
        self._served: dict[Key, Servable] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._told: list[Callable[[], None]] = []
        self._looking = asyncio.Lock()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="versions")  # from one thread, memory is used anew

    def lease(self, wanted: ModelRef) -> Lease:
        """Take a lease on the version that is meant; errors as `served`."""
        return Lease(*self.served(wanted))

    def task_lease(self, wanted: ModelRef) -> TaskLease:
        """Take a lease on the version that is meant, of one of our tasks; errors as `served`, and NoTaskError."""
        return TaskLease(*self.served(wanted))

    def served(self, wanted: ModelRef) -> tuple[Servable, str]:
        """Find the version that is meant, and the alias through which it was.

        Raises:
            NotFoundError: there is no such model, version or alias.
            ModelNotLoadedError: the version is there and does not answer.
        """
        meant = catalog.meant(wanted, self.repository.lines, self.actual)
        served = self._served.get(meant.key)
        if served is None:
            raise self._not_loaded(meant)
        return served, meant.alias

    def newest_answering(self, model: str) -> int | None:
        """Number the newest version of a model that answers."""
        return max((number for name, number in self._served if name == model), default=None)

    def find(self, wanted: ModelRef) -> VersionInfo:
        """Describe the version that is meant, loaded or not.

        Raises:
            NotFoundError: there is no such model, version or alias.
        """
        meant = catalog.meant(wanted, self.repository.lines, self.actual)
        self._expect(meant.key)
        return self._describe(meant.key)

    @property
    def versions(self) -> dict[Key, VersionInfo]:
        """Describe every version, by model and number."""
        return {key: self._describe(key) for key in sorted({*self.repository.seen, *self._served})}

    def serving(self) -> dict[str, bool]:
        """Tell for each model with a production alias whether it answers."""
        wanted = {model for model, line in self.repository.lines.items() if PRODUCTION in line.aliases}
        now = {model for model, aliases in self.actual.items() if PRODUCTION in aliases}
        return {model: model in now for model in sorted(wanted | now)}

    def tell(self, told: Callable[[], None]) -> None:
        """Have somebody told, without arguments, whenever something has changed."""
        self._told.append(told)

    async def look(self) -> None:
        """Read the repository and start the loads it asks for; raises as `RepositoryReader.read`, changing nothing."""
        async with self._looking:  # one at a time: an older look must not undo a newer one
            self.repository.lines, self.repository.seen = await asyncio.to_thread(self.repository.read)
        self._act()
        self._tell()

    async def settle(self) -> None:
        """Wait until all is as it ought to be, or cannot be."""
        while self._working:
            await asyncio.wait(tuple(self._working))

    def wish(self, model: str, *, loaded: bool) -> None:
        """Have a whole model unloaded, or loaded again as its rule and aliases say; what was refused is tried anew."""
        self.unloaded = self.unloaded - {model} if loaded else self.unloaded | {model}
        for key, standing in list(self._standings.items()):
            if key[0] == model and standing.state is VersionState.REFUSED:
                self._stand(key, VersionState.PRESENT)
        self._act()
        self._tell()

    def _act(self) -> None:
        while action := next_action(self._aspired(), self._standings, self.actual):
            self._do(action)
        self._forget()

    def _forget(self) -> None:
        """Let go of what is known of versions that are neither there nor in service any more."""
        known = {*self.repository.seen, *self._served}
        for key, standing in list(self._standings.items()):
            if key not in known and standing.state in {VersionState.PRESENT, VersionState.REFUSED}:
                del self._standings[key], self._reasons[key]
                self.tallies.pop(key, None)

    def _aspired(self) -> DesiredState:
        stamps = {key: seen.stamp for key, seen in self.repository.seen.items()}
        return aspire(self.repository.lines, stamps, self._rules, self.unloaded)

    def _do(self, action: Action) -> None:
        match action:
            case SetAlias(model=model, alias=alias, number=number):
                self.actual.setdefault(model, {})[alias] = number
                log.info("alias points", model=model, alias=alias, version=number)
            case ClearAlias(model=model, alias=alias):
                del self.actual[model][alias]
                log.info("alias dropped", model=model, alias=alias)
            case LoadVersion(key=key):
                self._stand(key, VersionState.LOADING)
                self._work(self._load(key, self.repository.seen[key].stamp))
            case UnloadVersion(key=key):
                self._stand(key, VersionState.UNLOADING)
                self._work(self._unload(key, self._served.pop(key)))

    def _work(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._working.add(task)
        task.add_done_callback(self._worked)

    def _worked(self, task: asyncio.Task[None]) -> None:
        self._working.discard(task)
        if not task.cancelled():
            self._act()
            self._tell()

    async def _load(self, key: Key, stamp: Stamp) -> None:
        model, number = key
        loop = asyncio.get_running_loop()
        try:
            version = await loop.run_in_executor(self._aside, _load, self.repository.folder_of(key), model, number)
        except Exception as error:
            known = isinstance(error, ArtifactRefusedError)
            reason = str(error) if known else f"cannot be loaded: {type(error).__name__}: {error}"
            log.warning("version refused", model=model, version=number, reason=reason, exc_info=not known)
            self._stand(key, VersionState.REFUSED, reason, stamp)
        else:
            served = Servable(version, self._manners, self.tallies.setdefault(key, InferenceStats()))
            self.holdings.opened(served)
            self._served[key] = served
            log.info("version loaded", model=model, version=number, digest=version.manifest.digest)
            self._stand(key, VersionState.LOADED, stamp=stamp)

    async def _unload(self, key: Key, served: Servable) -> None:
        await served.idle()
        last: list[object] = [served]
        del served
        await asyncio.get_running_loop().run_in_executor(self._aside, let_go, last)
        log.info("version unloaded", model=key[0], version=key[1])
        self._stand(key, VersionState.PRESENT)

    def _stand(self, key: Key, state: VersionState, reason: str = "", stamp: Stamp = ()) -> None:
        self._standings[key] = VersionStatus(state=state, stamp=stamp)
        self._reasons[key] = reason
        self._measures.stands(key, state)

    def _tell(self) -> None:
        for told in self._told:
            told()

    def _describe(self, key: Key) -> VersionInfo:
        wanted = {model: line.aliases for model, line in self.repository.lines.items()}
        standing = self._standings.get(key, VersionStatus(state=VersionState.PRESENT))
        reason = self._reasons.get(key, "")
        return catalog.version(key, self._seen(key), standing, reason, (self.actual, wanted))

    def _seen(self, key: Key) -> RepositoryVersion | None:
        """Tell what a version claims; one whose folder has gone, as when it was loaded."""
        seen, served = self.repository.seen.get(key), self._served.get(key)
        if seen is None and served is not None:
            return RepositoryVersion(stamp=(), manifest=served.loaded.manifest)
        return seen

    def _expect(self, key: Key) -> None:
        if key not in self.repository.seen and key not in self._served:
            line = self.repository.lines.get(key[0])
            raise NotFoundError(
                "version", f"{key[0]}/{key[1]}", [str(known) for known in line.versions] if line else []
            )

    def _not_loaded(self, meant: ResolvedVersion) -> ModelNotLoadedError:
        self._expect(meant.key)
        version = self._describe(meant.key)
        return ModelNotLoadedError(version.model, version.number, version.reason or self._why(version))

    def _why(self, version: VersionInfo) -> str:
        if version.model in self.unloaded:
            return "the model was unloaded on request"
        return (
            version.state.value
            if version.state is not VersionState.PRESENT
            else "no alias points to it, nor does a rule"
        )


def _load(folder: Path, model: str, version: int) -> LoadedGraph:
    try:
        return load_any(folder, model, version)
    finally:
        give_back()
