"""What a graph without a task answered when it was added: made then, and seen again whenever it is loaded."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import GOLDEN_FILE, GraphGolden
from ondeck_registry.onnx_session import OnnxSession

ROWS: Final = 64
SEED: Final = 7
TOLERANCE: Final = 1e-5  # relative above 1, absolute below; other machines sum in another order


def own_answers(session: OnnxSession) -> GraphGolden:
    """Make rows up, of the usual normal distribution, and have the graph answer them."""
    rows = np.random.default_rng(SEED).standard_normal((ROWS, session.width)).astype(np.float32)
    return GraphGolden(
        tolerance=TOLERANCE,
        rows=tuple(tuple(map(float, row)) for row in rows),
        outputs={
            tensor.name: tuple(tuple(map(_finite, row)) for row in _flat(output).tolist())
            for tensor, output in zip(session.outputs, session.infer(rows), strict=True)
        },
    )


def check_own_answers(session: OnnxSession, golden: GraphGolden) -> None:
    """See that a graph answers as it did, be it asked all rows at once or one at a time.

    Raises:
        ArtifactRefusedError: it does not, or cannot be run.
    """
    expected = {name: np.array(rows, dtype=np.float64) for name, rows in golden.outputs.items()}
    if set(expected) != {tensor.name for tensor in session.outputs} or not golden.rows:
        raise ArtifactRefusedError(f"{GOLDEN_FILE} holds no answers of this graph")
    try:
        rows: Matrix = np.array(golden.rows, dtype=np.float32)
        together = session.infer(rows)
        alone = [np.concatenate(each) for each in zip(*(session.infer(row[np.newaxis]) for row in rows), strict=True)]
    except Exception as broken:  # whatever ONNX Runtime and numpy raise
        raise ArtifactRefusedError(f"golden rows cannot be run: {broken}") from broken
    for told, outputs in (("", together), (" one at a time", alone)):
        _compare(session, outputs, expected, golden.tolerance, told)


def _compare(
    session: OnnxSession,
    outputs: list[NDArray[Any]],
    expected: Mapping[str, NDArray[np.float64]],
    tolerance: float,
    told: str,
) -> None:
    for tensor, output in zip(session.outputs, outputs, strict=True):
        if output.shape[1:] != tensor.shape[1:]:
            raise ArtifactRefusedError(f"{tensor.name} comes out as {list(output.shape)}, not {list(tensor.shape)}")
        found, wanted = _flat(output).astype(np.float64), expected[tensor.name]
        found[~np.isfinite(found)] = np.nan
        if found.shape != wanted.shape or not np.allclose(found, wanted, tolerance, tolerance, equal_nan=True):
            raise ArtifactRefusedError(f"golden rows come out different{told}: {tensor.name} is not as it was")


def _flat(output: NDArray[Any]) -> NDArray[Any]:
    return output.reshape(len(output), -1)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
