"""Optimizes the graph of a version, and compares it with the shipped graph before it may serve.

No file changes: the checksums of a version remain those of the shipped graph.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.errors import OndeckError, printable
from ondeck_core.instances import Matrix
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_registry.graph_optimizer import OptimizedGraph, optimize, scaler_ranges
from ondeck_registry.onnx_model import Graph
from ondeck_registry.onnx_session import OnnxSession
from ondeck_registry.tree_rewrites import thresholds
from ondeck_registry.verification import VerifiedGraph, verify_manifest

TOLERANCE: Final = 1e-6  # relative above 1, absolute below
_ROWS: Final = 128  # of each kind
_ROWS_ALONE: Final = 16  # ONNX Runtime computes a lone row by other code
_SEED: Final = 11
_MISSING: Final = 0.2
_MAX_BYTES: Final = 32 << 20
_MAX_SECONDS: Final = 2.0  # CPU time of a comparison; a load has few seconds in all
_MAX: Final = float(np.finfo(np.float32).max)
_EXTREMES: Final = (0.0, -0.0, 1e-40, 1e30, -1e30, _MAX, -_MAX, np.inf, -np.inf)


class DifferentOutputError(OndeckError):
    """An optimized graph does not compute what the shipped graph does."""


class CostlyOptimizationError(OndeckError):
    """A graph is so large or slow that its optimization could exceed the limits of a load."""


@dataclass(frozen=True, kw_only=True)
class Optimization:
    """The graph that serves instead of the shipped one, its rewrites, and why others were rejected.

    `graph` is None if the shipped graph serves.
    """

    graph: bytes | None = None
    rewrites: tuple[str, ...] = ()
    rejected: str = ""


SHIPPED: Final = Optimization()


def optimize_version(folder: Path, manifest: Manifest | GraphManifest) -> Optimization:
    """Return the fastest graph of a version that computes what the shipped graph does, golden rows included.

    Rewrites that only keep every bit are tried if others are rejected.

    Raises:
        ArtifactRefusedError: the version itself differs from its manifest.
    """
    shipped = verify_manifest(folder, manifest)
    reasons: list[str] = []
    for is_exact in (False, True):
        try:
            found = _optimize(shipped, is_exact=is_exact)
            if found.rewrites:
                verify_manifest(folder, manifest, found.graph)
        except Exception as rejected:  # noqa: BLE001  what numpy, protobuf and ONNX Runtime raise; the shipped graph serves
            reasons.append(printable(str(rejected)))
        else:
            graph = found.graph if found.rewrites else None
            return Optimization(graph=graph, rewrites=found.rewrites, rejected="; ".join(dict.fromkeys(reasons)))
    return Optimization(rejected="; ".join(dict.fromkeys(reasons)))


def check_equivalent(shipped: OnnxSession, optimized: OnnxSession, rows: Matrix) -> None:
    """Check that two sessions compute the same outputs, for all rows at once and for some alone.

    Raises:
        DifferentOutputError: an output differs; the text names it.
    """
    for batch in (rows, *(row[np.newaxis] for row in rows[:: max(1, len(rows) // _ROWS_ALONE)])):
        pairs = zip(shipped.outputs, shipped.infer(batch), optimized.infer(batch), strict=True)
        for tensor, expected, actual in pairs:
            difference = _difference(expected, actual)
            if not difference <= TOLERANCE:
                raise DifferentOutputError(
                    f"{tensor.name} would differ by {difference:.1e}, at most {TOLERANCE:.0e} is allowed"
                )


def probe_rows(golden: Matrix, graph: Graph) -> Matrix:
    """Return rows on which graphs are compared: golden ones, and with missing values, thresholds and extremes."""
    random = np.random.default_rng(_SEED)
    return np.concatenate([golden, *_variants(np.resize(golden, (_ROWS, golden.shape[1])), graph, random)])


def _optimize(shipped: VerifiedGraph, *, is_exact: bool) -> OptimizedGraph:
    session = shipped.session
    names = [each.name for each in session.outputs]
    if len(shipped.graph) > _MAX_BYTES:
        raise CostlyOptimizationError(f"graphs of more than {_MAX_BYTES >> 20} MiB are not optimized")
    optimized = optimize(shipped.graph, names, is_exact=is_exact)
    if optimized.rewrites:
        rows = probe_rows(shipped.golden_features, Graph(shipped.graph, names))
        _check_cost(shipped, len(rows))
        check_equivalent(session, OnnxSession(optimized.graph, session.inputs, session.outputs), rows)
    return optimized


def _check_cost(shipped: VerifiedGraph, rows: int) -> None:
    """Check that so many rows can be compared in time, estimated from the golden rows."""
    begin = time.process_time()
    shipped.session.infer(shipped.golden_features)
    seconds = 2 * rows * (time.process_time() - begin) / len(shipped.golden_features)
    if seconds > _MAX_SECONDS:
        raise CostlyOptimizationError(f"a comparison with the shipped graph would take {seconds:.1f} seconds")


def _variants(golden: Matrix, graph: Graph, random: np.random.Generator) -> Iterator[Matrix]:
    shape, rows = golden.shape, np.arange(len(golden))
    yield np.full((1, shape[1]), np.nan, dtype=np.float32)
    yield np.where(random.random(shape) < _MISSING, np.float32(np.nan), golden)
    yield (random.standard_normal(shape) * 10 ** random.uniform(-3, 3, (len(golden), 1))).astype(np.float32)
    for offset, spread in scaler_ranges(graph, shape[1]):
        yield (offset + spread * random.standard_normal(shape)).astype(np.float32)
    at_thresholds = golden.copy()
    for column, values in enumerate(thresholds(graph, shape[1])):
        if len(values):
            at_thresholds[:, column] = random.choice(values, len(golden))
    for direction in (-np.inf, np.inf):
        yield np.nextafter(at_thresholds, np.float32(direction))
    yield at_thresholds
    extremes = golden.copy()
    extremes[rows, random.integers(0, shape[1], len(golden))] = np.resize(_EXTREMES, len(golden))
    yield extremes


def _difference(expected: NDArray[Any], actual: NDArray[Any]) -> float:
    """Return the largest difference; infinite if only one of two values is missing or infinite."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return np.inf
    if not np.issubdtype(expected.dtype, np.floating):
        return 0.0 if np.array_equal(expected, actual) else np.inf
    differs = ~((expected == actual) | (np.isnan(expected) & np.isnan(actual)))
    first, second = (each[differs].astype(np.float64) for each in (expected, actual))
    if not (np.isfinite(first) & np.isfinite(second)).all():
        return np.inf
    return float((np.abs(first - second) / np.maximum(1, np.abs(first))).max(initial=0))
