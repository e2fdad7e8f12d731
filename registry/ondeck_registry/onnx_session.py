"""A graph, opened: float32 features in, tensors out, one thread."""

from collections.abc import Sequence
from typing import Any, Final

import onnxruntime as ort
from numpy.typing import NDArray

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE, Tensor

_ERRORS_ONLY: Final = 3
DATATYPES: Final = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
}


class OnnxSession:
    """One ONNX Runtime session on one thread; the operating system has the other cores for other processes."""

    def __init__(self, graph: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._session = open_graph(graph)
        self.width = self.inputs[0].shape[-1]
        self._input = self.inputs[0].name
        self._names = [each.name for each in self.outputs]
        _expect(self._session.get_inputs(), self.inputs, alone=True)
        _expect(self._session.get_outputs(), self.outputs)

    def infer(self, features: Matrix) -> list[NDArray[Any]]:
        """Turn features of shape (n, width) into the tensors of `outputs`, n rows each."""
        tensors: list[NDArray[Any]] = self._session.run(self._names, {self._input: features})
        return tensors

    def run(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """Turn features (n, features) into probabilities (n, outcomes) and those of members (n, members, outcomes)."""
        probabilities, members = self.infer(features)
        return probabilities, members


def open_graph(graph: bytes) -> ort.InferenceSession:
    """Open a graph on one thread.

    Raises:
        ArtifactRefusedError: it cannot be run.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as broken:
        raise ArtifactRefusedError(f"{MODEL_FILE} is not a graph that can be run: {broken}") from broken


def _expect(ends: Sequence[ort.NodeArg], claimed: Sequence[Tensor], *, alone: bool = False) -> None:
    found = {end.name: end for end in ends}
    for tensor in claimed:
        end = found.get(tensor.name)
        if end is None or DATATYPES.get(end.type) != tensor.datatype or not _fits(end.shape, tensor.shape):
            raise ArtifactRefusedError(f"the graph should have {_told(claimed)}, has {_written(ends)}")
    if alone and len(ends) != len(claimed):
        raise ArtifactRefusedError(f"the graph should take {_told(claimed)} alone, takes {_written(ends)}")


def _fits(declared: Sequence[object], claimed: Sequence[int]) -> bool:
    """Tell whether a shape may be what a graph says of it: nothing, perhaps, or names for sizes it does not know."""
    return not declared or (
        len(declared) == len(claimed)
        and all(not isinstance(size, int) or size == other for size, other in zip(declared, claimed, strict=True))
    )


def _told(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{each.name} {each.datatype} {list(each.shape)}" for each in tensors)


def _written(ends: Sequence[ort.NodeArg]) -> str:
    return ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)
