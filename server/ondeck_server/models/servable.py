"""A version in service: loaded and warmed up, with batchers in front of its session and leases that keep it loaded."""

import asyncio
import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

import numpy as np
import structlog

from ondeck_core.derived_stats import ResultColumns, ensemble_spread
from ondeck_core.errors import ArtifactRefusedError, NoTaskError
from ondeck_core.evaluation import Evaluation
from ondeck_core.instances import Matrix
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_core.tasks import Task
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.repository import read_any_manifest
from ondeck_registry.verification import VerifiedVersion, predict, verify_manifest
from ondeck_registry.version_optimizer import SHIPPED, Optimization
from ondeck_server.batching.batch_metrics import BatchMetrics
from ondeck_server.batching.batcher import Batcher, BatchingConfig, LatencyModel, TimedRun
from ondeck_server.batching.inference_stats import InferenceStats

log = structlog.get_logger()

OnSeconds: TypeAlias = Callable[[float], None]
WARM_UP_ROWS: Final = (1, 8, 64, 256)
_TIMED_RUNS: Final = 3
_MALLOC_TRIM: Final = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc only


def _ignore_seconds(_: float) -> None:
    """Do nothing: the run is not measured."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedGraph:
    """A verified and warmed-up version that maps input tensors to output tensors.

    `graph_latency` is the warm-up latency from features to output tensors. `optimization` no longer holds the graph.
    """

    manifest: Manifest | GraphManifest
    session: OnnxSession
    optimization: Optimization = SHIPPED
    graph_latency: LatencyModel = field(default_factory=LatencyModel)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedVersion(LoadedGraph):
    """A loaded version of a task; without a background, of shape (rows, fields), it cannot explain.

    `latency` is the warm-up latency from instances to result tables.
    """

    manifest: Manifest
    evaluation: Evaluation
    task: Task
    columns: ResultColumns
    background: Matrix | None = None
    latency: LatencyModel = field(default_factory=LatencyModel)

    def predict(self, instances: Matrix) -> tuple[Matrix, Matrix]:
        """Compute probabilities (n, outcomes) and the ensemble spread (n,) of instances of shape (n, fields)."""
        return predict(self.session, self.task, instances)

    def compute_results(self, instances: Matrix, on_features: OnSeconds = _ignore_seconds) -> tuple[Matrix]:
        """Compute the result table of instances (n, fields), valid or not; reports the seconds of the features."""
        begin = time.perf_counter()
        features = self.task.features.compute(instances)
        on_features(time.perf_counter() - begin)
        probabilities, members = self.session.run(features)
        return (self.columns.compute(instances, probabilities, ensemble_spread(members, probabilities)),)

    def predict_proba(self, instances: Matrix) -> Matrix:
        """Compute probabilities of shape (n, outcomes) of instances of shape (n, fields)."""
        return self.predict(instances)[0]


def load(folder: Path, model: str, version: int) -> LoadedVersion:
    """Load a version of a task.

    Raises:
        ArtifactRefusedError: the version differs from its manifest, or is an imported graph.
    """
    loaded = load_any(folder, model, version)
    if isinstance(loaded, LoadedVersion):
        return loaded
    raise ArtifactRefusedError("it is an imported graph; only the Open Inference Protocol serves it")


def load_any(folder: Path, model: str, version: int) -> LoadedGraph:
    """Read the manifest of a version of a task or an imported graph, and load it; errors as `load_manifest`."""
    return load_manifest(folder, read_any_manifest(folder, model, version))


def load_manifest(
    folder: Path, manifest: Manifest | GraphManifest, optimization: Optimization = SHIPPED
) -> LoadedGraph:
    """Load the version that a manifest describes; the session that runs is the one that was verified.

    Raises:
        ArtifactRefusedError: the version differs from its manifest; the text names the difference.
    """
    verified = verify_manifest(folder, manifest, optimization.graph)
    applied = replace(optimization, graph=None)
    graph_latency = _warm_up(verified.session.infer, verified.golden_features)
    if not isinstance(verified, VerifiedVersion):
        return LoadedGraph(
            manifest=verified.manifest, session=verified.session, optimization=applied, graph_latency=graph_latency
        )
    session, task = verified.session, verified.task
    thresholds = [each.thresholds for each in verified.manifest.prediction_sets]
    columns = ResultColumns(task=task.name, instance=task.instance, outcomes=len(task.outcomes), thresholds=thresholds)
    return LoadedVersion(
        manifest=verified.manifest,
        evaluation=verified.evaluation,
        task=task,
        columns=columns,
        session=session,
        optimization=applied,
        background=verified.background,
        latency=_warm_up(lambda rows: columns.compute(rows, *predict(session, task, rows)), verified.golden_instances),
        graph_latency=graph_latency,
    )


def _warm_up(run: Callable[[Matrix], object], rows: Matrix) -> LatencyModel:
    """Run at each of `WARM_UP_ROWS`, so that no request pays for the first run; later runs are timed."""
    return LatencyModel([_time_run(run, np.resize(rows, (count, rows.shape[1]))) for count in WARM_UP_ROWS])


def _time_run(run: Callable[[Matrix], object], rows: Matrix) -> TimedRun:
    """Time the fastest of some runs: one that a busy machine delays would refuse calls with a deadline."""
    run(rows)
    seconds = []
    for _ in range(_TIMED_RUNS):
        begin = time.perf_counter()
        run(rows)
        seconds.append(time.perf_counter() - begin)
    return TimedRun(rows=len(rows), seconds=min(seconds))


class Servable:
    """A loaded version in service; `graph` batches features, the batcher of `of_task` batches instances.

    `on_timeout` is called when a run was ended because of its time.
    """

    def __init__(
        self,
        loaded: LoadedGraph,
        batching: BatchingConfig,
        stats: InferenceStats,
        metrics: BatchMetrics,
        on_timeout: Callable[[], None],
    ) -> None:
        self.loaded = loaded
        self.stats = stats
        self.metrics = metrics
        self.graph = Batcher(
            loaded.session.infer, batching, stats, loaded.graph_latency, metrics, on_timeout=on_timeout
        )
        self._instances = (
            Batcher(
                partial(loaded.compute_results, on_features=metrics.feature_seconds.append),
                batching,
                stats,
                loaded.latency,
                metrics,
                on_timeout=on_timeout,
            )
            if isinstance(loaded, LoadedVersion)
            else None
        )
        self._leases = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def of_task(self) -> tuple[LoadedVersion, Batcher]:
        """Return the version and its batcher of instances.

        Raises:
            NoTaskError: the version is an imported graph.
        """
        if self._instances is None or not isinstance(self.loaded, LoadedVersion):
            raise NoTaskError(self.loaded.manifest.model)
        return self.loaded, self._instances

    @property
    def leases(self) -> int:
        """Number of unreleased leases."""
        return self._leases

    def add_lease(self) -> None:
        """Count a lease; only `Lease` calls this."""
        self._leases += 1
        self._idle.clear()

    def remove_lease(self) -> None:
        """Stop counting a lease; only `Lease` calls this."""
        self._leases -= 1
        if not self._leases:
            self._idle.set()

    async def wait_released(self) -> None:
        """Wait until no lease is left."""
        await self._idle.wait()


class Lease:
    """Keeps a version loaded until it is released; `alias` is the alias that selected it, "" if a number did."""

    __slots__ = ("_is_held", "alias", "servable")

    def __init__(self, servable: Servable, alias: str) -> None:
        self.servable = servable
        self.alias = alias
        self._is_held = True
        servable.add_lease()

    @property
    def is_held(self) -> bool:
        """Whether the lease has not been released."""
        return self._is_held

    def release(self) -> None:
        """Release the lease; idempotent."""
        if self._is_held:
            self._is_held = False
            self.servable.remove_lease()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class TaskLease(Lease):
    """A lease on a version of a task."""

    __slots__ = ("batcher", "version")

    def __init__(self, servable: Servable, alias: str) -> None:
        """Take the lease; raises NoTaskError if the version is an imported graph."""
        self.version, self.batcher = servable.of_task()
        super().__init__(servable, alias)


def release_and_trim(last: list[object]) -> None:
    """Drop the last references to a version, those in this list, and trim the heap; takes milliseconds."""
    last.clear()
    trim_heap()


def trim_heap() -> None:
    """Return freed memory to the operating system, if the C library can; takes milliseconds.

    Without it a process that reloads versions keeps tens of MiB.
    """
    if _MALLOC_TRIM is not None:
        _MALLOC_TRIM(0)


def log_loaded(loaded: LoadedGraph) -> None:
    """Log that a version is loaded, and why its graph is not optimized, if so."""
    manifest, optimization = loaded.manifest, loaded.optimization
    if optimization.rejected:
        log.warning(
            "optimization_rejected",
            detail="the shipped graph, or one with fewer rewrites, serves",
            model=manifest.model,
            version=manifest.version,
            reason=optimization.rejected,
        )
    log.info(
        "version_loaded",
        detail="version is verified and warm",
        model=manifest.model,
        version=manifest.version,
        digest=manifest.digest,
        rewrites=",".join(optimization.rewrites) or "none",
    )
