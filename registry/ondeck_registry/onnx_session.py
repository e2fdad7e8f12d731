"""An ONNX Runtime session: float32 features in, tensors out, on one thread."""

from collections.abc import Sequence
from typing import Any, Final

import onnxruntime as ort
from numpy.typing import NDArray

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE, Tensor
from ondeck_registry.external_data import check_self_contained

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
    """One ONNX Runtime session on one thread, since other worker processes use the other cores."""

    def __init__(self, graph: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._session = open_graph(graph)
        self.width = self.inputs[0].shape[-1]
        self._input = self.inputs[0].name
        self._names = [each.name for each in self.outputs]
        _check_tensors(self._session.get_inputs(), self.inputs, is_complete=True)
        _check_tensors(self._session.get_outputs(), self.outputs)

    def infer(self, features: Matrix) -> list[NDArray[Any]]:
        """Compute the tensors of `outputs`, n rows each, of features of shape (n, width)."""
        tensors: list[NDArray[Any]] = self._session.run(self._names, {self._input: features})
        return tensors

    def run(self, features: Matrix) -> tuple[Matrix, Matrix]:
        """Compute probabilities (n, outcomes) and those of members (n, members, outcomes) from features (n, width)."""
        probabilities, members = self.infer(features)
        return probabilities, members


def open_graph(graph: bytes) -> ort.InferenceSession:
    """Open a graph on one thread.

    Raises:
        ArtifactRefusedError: ONNX Runtime cannot load it, or it would read other files.
    """
    check_self_contained(graph)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry("session.load_model_format", "ONNX")  # the only format that is checked
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as broken:
        raise ArtifactRefusedError(f"{MODEL_FILE} is not a graph that can be run: {broken}") from broken


def _check_tensors(actual: Sequence[ort.NodeArg], stated: Sequence[Tensor], *, is_complete: bool = False) -> None:
    """Check name, type and shape of the stated tensors; with `is_complete` the graph must have no others."""
    found = {node.name: node for node in actual}
    for tensor in stated:
        node = found.get(tensor.name)
        if node is None or DATATYPES.get(node.type) != tensor.datatype or not _is_compatible(node.shape, tensor.shape):
            raise ArtifactRefusedError(f"the graph should have {_format(stated)}, has {_format_nodes(actual)}")
    if is_complete and len(actual) != len(stated):
        raise ArtifactRefusedError(f"the graph should take only {_format(stated)}, takes {_format_nodes(actual)}")


def _is_compatible(declared: Sequence[object], stated: Sequence[int]) -> bool:
    """Return whether a graph's declared shape allows a stated one: it may be empty, or have names for free sizes."""
    return not declared or (
        len(declared) == len(stated)
        and all(not isinstance(size, int) or size == other for size, other in zip(declared, stated, strict=True))
    )


def _format(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{each.name} {each.datatype} {list(each.shape)}" for each in tensors)


def _format_nodes(nodes: Sequence[ort.NodeArg]) -> str:
    return ", ".join(f"{node.name} {node.type} {node.shape}" for node in nodes)
