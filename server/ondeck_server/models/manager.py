"""The model manager: applies the reconciler's actions off the serving path, and hands out leases on loaded versions."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import structlog

from ondeck_core.errors import ArtifactRefusedError, ModelNotLoadedError, NotFoundError, printable, without_folders
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.file_reader import UnreadableFileError
from ondeck_registry.repository import ModelEntry
from ondeck_registry.version_optimizer import SHIPPED, Optimization
from ondeck_runtime.metrics import MetricsBlock
from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.batching.batcher import BatchingConfig
from ondeck_server.batching.inference_stats import InferenceStats
from ondeck_server.models import version_resolution
from ondeck_server.models.metrics import ResourceMetrics, VersionMetrics
from ondeck_server.models.reconciler import (
    Action,
    ClearAlias,
    Key,
    LoadVersion,
    SetAlias,
    Stamp,
    UnloadVersion,
    VersionPolicy,
    VersionState,
    VersionStatus,
    desired_state,
    next_action,
)
from ondeck_server.models.repository_reader import RepositoryReader, RepositoryVersion, wait_for_read
from ondeck_server.models.servable import (
    Lease,
    LoadedGraph,
    Servable,
    TaskLease,
    load_manifest,
    log_loaded,
    release_and_trim,
    trim_heap,
)
from ondeck_server.models.version_resolution import ModelRef, ResolvedVersion, VersionInfo

# Loads a version elsewhere first, and optimizes its graph; raises ArtifactRefusedError if it is refused there.
LoadTrial: TypeAlias = Callable[[Path, RepositoryVersion], Awaitable[Optimization]]

log = structlog.get_logger()


class ModelManager:
    """Loads and unloads the versions of a model repository in one process, and applies its aliases."""

    def __init__(
        self,
        folder: Path,
        policy: VersionPolicy,
        batching: BatchingConfig,
        metrics: MetricsBlock,
        trial: LoadTrial | None = None,
    ) -> None:
        self.repository = RepositoryReader(folder)
        self.applied_aliases: dict[str, dict[str, int]] = {}
        self.unloaded: frozenset[str] = frozenset()
        self.stats: dict[Key, InferenceStats] = {}
        self.resources = ResourceMetrics(metrics)
        self._policy = policy
        self._batching = batching
        self._trial = trial
        self._monitor = TaskMonitor(metrics)
        self._metrics = VersionMetrics(metrics)
        self._statuses: dict[Key, VersionStatus] = {}
        self._servables: dict[Key, Servable] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._subscribers: list[Callable[[], None]] = []
        self._refreshing = asyncio.Lock()
        self._executor = ThreadPoolExecutor(
            1, thread_name_prefix="versions"
        )  # one thread, so that loads reuse its heap
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="repository")  # never waits for calls that hold a lock

    def lease(self, ref: ModelRef) -> Lease:
        """Lease the version of a reference; errors as `servable`."""
        return Lease(*self.servable(ref))

    def task_lease(self, ref: ModelRef) -> TaskLease:
        """Lease the version of a reference to a task; errors as `servable`, and NoTaskError."""
        return TaskLease(*self.servable(ref))

    def servable(self, ref: ModelRef) -> tuple[Servable, str]:
        """Return the loaded version of a reference, and the alias that selected it ("" if a number did).

        Raises:
            NotFoundError: there is no such model, version or alias.
            ModelNotLoadedError: the version exists and is not loaded.
        """
        resolved = version_resolution.resolve(ref, self.repository.entries, self.applied_aliases)
        servable = self._servables.get(resolved.key)
        if servable is None:
            raise self._not_loaded(resolved)
        return servable, resolved.alias

    def newest_loaded(self, model: str) -> int | None:
        """Return the number of the newest loaded version of a model."""
        return max((number for name, number in self._servables if name == model), default=None)

    def find(self, ref: ModelRef) -> VersionInfo:
        """Describe the version of a reference, loaded or not.

        Raises:
            NotFoundError: there is no such model, version or alias.
        """
        resolved = version_resolution.resolve(ref, self.repository.entries, self.applied_aliases)
        self._check_exists(resolved.key)
        return self._describe(resolved.key)

    @property
    def versions(self) -> dict[Key, VersionInfo]:
        """Describe every version, by model and number."""
        return {key: self._describe(key) for key in sorted({*self.repository.versions, *self._servables})}

    def serving(self) -> dict[str, bool]:
        """Map each model with a production alias to whether it serves."""
        desired = {model for model, entry in self.repository.entries.items() if PRODUCTION in entry.aliases}
        applied = {model for model, aliases in self.applied_aliases.items() if PRODUCTION in aliases}
        return {model: model in applied for model in sorted(desired | applied)}

    def faults(self) -> dict[str, str]:
        """Map each model of which a part is set aside to the reasons."""
        entries = sorted(self.repository.entries.items())
        return {model: "; ".join(entry.faults) for model, entry in entries if entry.faults}

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every change."""
        self._subscribers.append(callback)

    async def refresh(self) -> None:
        """Read the repository and start the loads that it requires; raises as `RepositoryReader.read`."""
        async with self._refreshing:  # one at a time: an older read must not overwrite a newer one
            read = asyncio.get_running_loop().run_in_executor(self._reader, self.repository.read)
            entries, versions = await wait_for_read(read)
            self.resources.record_read()
            self._log_faults(entries)
            self.repository.entries, self.repository.versions = entries, versions
        self._lift_retried()
        self._reconcile()
        self._notify()

    async def wait_idle(self) -> None:
        """Wait until the desired state is reached, or cannot be."""
        while self._tasks:
            await asyncio.wait(tuple(self._tasks))

    def request_load(self, model: str, *, loaded: bool) -> None:
        """Unload a model, or load it again as policy and aliases require; retries versions that were refused."""
        self.unloaded = self.unloaded - {model} if loaded else self.unloaded | {model}
        for key, status in list(self._statuses.items()):
            if key[0] == model and status.state is VersionState.REFUSED:
                self._set_status(key, VersionState.PRESENT)
        self._reconcile()
        self._notify()

    def _reconcile(self) -> None:
        stamps = {key: version.stamp for key, version in self.repository.versions.items()}
        desired = desired_state(self.repository.entries, stamps, self._policy, self.unloaded)
        while action := next_action(desired, self._statuses, self.applied_aliases):
            self._apply(action)
        self._prune()

    def _lift_retried(self) -> None:
        """Lift refusals of which the operating system was the reason, unless it still is."""
        for key, status in list(self._statuses.items()):
            found = self.repository.versions.get(key)
            is_due = status.is_retried and status.state is VersionState.REFUSED
            if is_due and (found is None or found.unreadable != status.reason):
                self._statuses[key] = replace(status, state=VersionState.PRESENT)

    def _prune(self) -> None:
        """Drop the state of versions that are neither in the repository nor loaded."""
        current = {*self.repository.versions, *self._servables}
        for key, status in list(self._statuses.items()):
            if key not in current and status.state in {VersionState.PRESENT, VersionState.REFUSED}:
                del self._statuses[key]
                self.stats.pop(key, None)
                self._metrics.remove(key)

    def _apply(self, action: Action) -> None:
        match action:
            case SetAlias(model=model, alias=alias, number=number):
                aliases = self.applied_aliases.setdefault(model, {})
                self._metrics.record_alias(model, alias, aliases.get(alias), number)
                aliases[alias] = number
                log.info("alias_updated", detail="alias points to a version", model=model, alias=alias, version=number)
            case ClearAlias(model=model, alias=alias):
                self._metrics.record_alias(model, alias, self.applied_aliases[model].pop(alias), None)
                if not self.applied_aliases[model]:
                    del self.applied_aliases[model]
                log.info("alias_cleared", detail="alias was removed", model=model, alias=alias)
            case LoadVersion(key=key):
                before = self._statuses.get(key)
                self._set_status(key, VersionState.LOADING, before.reason if before and before.is_retried else "")
                self._spawn(self._load(key, self.repository.versions[key]))
            case UnloadVersion(key=key):
                self._set_status(key, VersionState.UNLOADING)
                self._spawn(self._unload(key, self._servables.pop(key)))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            if (failed := task.exception()) is not None:
                self._monitor.record("version_change", failed)
            self._reconcile()
            self._notify()

    async def _load(self, key: Key, found: RepositoryVersion) -> None:
        loop = asyncio.get_running_loop()
        try:
            folder = self.repository.folder_of(key)
            optimization = SHIPPED if self._trial is None else await self._trial(folder, found)
            version = await loop.run_in_executor(self._executor, _load, folder, found, optimization)
        except Exception as error:  # noqa: BLE001  one bad version affects no other
            self._refuse(key, found, error)
        else:
            servable = Servable(
                version,
                self._batching,
                self.stats.setdefault(key, InferenceStats()),
                self._metrics.batch(key),
                on_timeout=lambda: self._on_run_timeout(key),
            )
            self.resources.track(servable)
            self._servables[key] = servable
            log_loaded(version)
            self._set_status(key, VersionState.LOADED, stamp=found.stamp)

    def _refuse(self, key: Key, found: RepositoryVersion, error: Exception) -> None:
        is_known = isinstance(error, ArtifactRefusedError)
        text = str(error) if is_known else f"cannot be loaded: {type(error).__name__}: {without_folders(str(error))}"
        reason = printable(text)
        is_retried = found.is_retried or isinstance(error, UnreadableFileError)
        if self._statuses[key].reason != reason:  # it was not refused for the same reason before
            log.warning(
                "version_rejected",
                detail="version failed verification",
                model=key[0],
                version=key[1],
                reason=reason,
                exc_info=not is_known,
            )
        self._set_status(key, VersionState.REFUSED, reason, found.stamp, is_retried=is_retried)

    def _on_run_timeout(self, key: Key) -> None:
        log.warning(
            "run_timed_out",
            detail="a run exceeded ONDECK_MAX_RUN_SECONDS and was ended; its call failed",
            model=key[0],
            version=key[1],
        )
        self._metrics.record_run_timeout(key)

    async def _unload(self, key: Key, servable: Servable) -> None:
        await servable.wait_released()
        last: list[object] = [servable]
        del servable
        await asyncio.get_running_loop().run_in_executor(self._executor, release_and_trim, last)
        log.info("version_unloaded", detail="version released its memory", model=key[0], version=key[1])
        self._set_status(key, VersionState.PRESENT)

    def _set_status(
        self, key: Key, state: VersionState, reason: str = "", stamp: Stamp = (), *, is_retried: bool = False
    ) -> None:
        self._statuses[key] = VersionStatus(state=state, stamp=stamp, reason=reason, is_retried=is_retried)
        self._metrics.record(key, state)

    def _log_faults(self, entries: Mapping[str, ModelEntry]) -> None:
        """Log each fault of a model once, as long as it lasts."""
        for model, entry in entries.items():
            before = self.repository.entries.get(model)
            for fault in entry.faults:
                if before is None or fault not in before.faults:
                    log.warning("model_rejected", detail="a part of a model is set aside", model=model, reason=fault)

    def _notify(self) -> None:
        for callback in self._subscribers:
            callback()

    def _describe(self, key: Key) -> VersionInfo:
        status = self._statuses.get(key, VersionStatus(state=VersionState.PRESENT))
        found, servable = self.repository.versions.get(key), self._servables.get(key)
        if found is None and servable is not None:  # its folder was removed after it was loaded
            found = RepositoryVersion(stamp=(), manifest=servable.loaded.manifest)
        return version_resolution.describe(
            key,
            found,
            status,
            applied=self.applied_aliases,
            desired={model: entry.aliases for model, entry in self.repository.entries.items()},
        )

    def _check_exists(self, key: Key) -> None:
        if key not in self.repository.versions and key not in self._servables:
            entry = self.repository.entries.get(key[0])
            raise NotFoundError(
                "version", f"{key[0]}/{key[1]}", [str(each) for each in entry.versions] if entry else []
            )

    def _not_loaded(self, resolved: ResolvedVersion) -> ModelNotLoadedError:
        self._check_exists(resolved.key)
        version = self._describe(resolved.key)
        if version.reason:
            reason = version.reason
        elif version.model in self.unloaded:
            reason = "the model was unloaded on request"
        elif version.state is not VersionState.PRESENT:
            reason = version.state.value
        else:
            reason = "no alias or version policy selects it"
        return ModelNotLoadedError(version.model, version.number, reason)


def _load(folder: Path, found: RepositoryVersion, optimization: Optimization) -> LoadedGraph:
    try:
        if found.manifest is None:
            raise ArtifactRefusedError(found.unreadable)
        return load_manifest(folder, found.manifest, optimization)
    finally:
        trim_heap()
