"""An ONNX Runtime session: float32 features in, tensors out, on one thread.

A graph is opened only if the values of all its tensors are in the graph file. ONNX Runtime would read other files from
the working directory of the process, or from a memory address, without any checksum.
"""

import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Final

import onnxruntime as ort
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from numpy.typing import NDArray

from ondeck_core.errors import ArtifactRefusedError, RunTimeoutError, printable, without_folders
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE, Tensor
from ondeck_runtime.correlation import RUN_STARTED_AT

_ERRORS_ONLY: Final = 3
_FATAL_ONLY: Final = 4  # the exception has the text
_WATCH_INTERVAL_SECONDS: Final = 0.05
_CPU_CLOCK_OF: Final = getattr(time, "pthread_getcpuclockid", lambda _: time.CLOCK_MONOTONIC)  # not on macOS
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
# The messages of ONNX with only those fields that lead to a tensor, by name: number and message.
_ONNX_PACKAGE: Final = "ondeck.external_data"
_ONNX_FIELDS: Final = {
    "Model": {"graph": (7, "Graph"), "training_info": (20, "Training"), "functions": (25, "Function")},
    "Training": {"initialization": (1, "Graph"), "algorithm": (2, "Graph")},
    "Function": {"node": (7, "Node"), "attribute_proto": (11, "Attribute")},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor"), "sparse_initializer": (15, "SparseTensor")},
    "Node": {"attribute": (5, "Attribute")},
    "Attribute": {
        "t": (5, "Tensor"),
        "g": (6, "Graph"),
        "tensors": (10, "Tensor"),
        "graphs": (11, "Graph"),
        "sparse_tensor": (22, "SparseTensor"),
        "sparse_tensors": (23, "SparseTensor"),
    },
    "SparseTensor": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {"external_data": (13, "Entry")},
    "Entry": {},
}
_BYTES, _INT32, _INT64 = (getattr(FieldDescriptorProto, f"TYPE_{kind}") for kind in ("BYTES", "INT32", "INT64"))
# The other fields that are read or written: number and type; a size is repeated.
_VALUES: Final = {
    "Tensor": {
        "dims": (1, _INT64),
        "data_type": (2, _INT32),
        "name": (8, _BYTES),
        "raw_data": (9, _BYTES),
        "data_location": (14, _INT32),
    },
    "Entry": {"key": (1, _BYTES), "value": (2, _BYTES)},
}

_RUN_OPTIONS: ContextVar[ort.RunOptions | None] = ContextVar("run_options", default=None)


class _LimitedRun:
    """A run in progress in the thread with the CPU clock `clock`; `ends_at`, a time of it, is None until it is seen."""

    __slots__ = ("clock", "ends_at", "options", "seconds")

    def __init__(self, options: ort.RunOptions, clock: int, seconds: float) -> None:
        self.options = options
        self.clock = clock
        self.seconds = seconds
        self.ends_at: float | None = None


class RunLimiter:
    """Ends runs of graphs that exceed their CPU time, from a thread that starts with the first run.

    ONNX Runtime ends a run between two nodes of a graph or of the body of a loop, not within a node.
    """

    def __init__(self) -> None:
        self._runs: dict[int, _LimitedRun] = {}
        self._watcher: threading.Thread | None = None

    def call(
        self, run: Callable[[Matrix], Sequence[NDArray[Any]]], rows: Matrix, seconds: float
    ) -> Sequence[NDArray[Any]]:
        """Return what `run` returns, which runs graphs in this thread for at most `seconds` of CPU time.

        Raises:
            RunTimeoutError: it takes longer.
        """
        options, thread = ort.RunOptions(), threading.get_ident()
        options.log_severity_level = _FATAL_ONLY
        token = _RUN_OPTIONS.set(options)
        self._runs[thread] = _LimitedRun(options, _CPU_CLOCK_OF(thread), seconds)
        if self._watcher is None:
            self._watcher = threading.Thread(target=_watch, args=(weakref.ref(self),), name="run-limiter", daemon=True)
            self._watcher.start()
        try:
            return run(rows)
        except Exception as error:
            if options.terminate:
                raise RunTimeoutError(seconds) from error
            raise
        finally:
            del self._runs[thread]
            _RUN_OPTIONS.reset(token)

    def end_overdue(self) -> None:
        """End the runs that have exceeded their time; one that is seen for the first time counts from now."""
        for run in list(self._runs.values()):
            with suppress(OSError):  # its thread has ended
                now = time.clock_gettime(run.clock)
                if run.ends_at is None:
                    run.ends_at = now + run.seconds
                elif now > run.ends_at:
                    run.options.terminate = True


def _watch(reference: "weakref.ref[RunLimiter]") -> None:
    while (limiter := reference()) is not None:
        limiter.end_overdue()
        del limiter
        time.sleep(_WATCH_INTERVAL_SECONDS)


class OutputShapeError(Exception):
    """A graph returned other shapes than its manifest states, so its outputs belong to no rows: an internal error."""


class OnnxSession:
    """One ONNX Runtime session on one thread, since other worker processes use the other cores."""

    def __init__(self, graph: bytes, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self._session = open_graph(graph)
        self.width = self.inputs[0].shape[-1]
        self._input = self.inputs[0].name
        self._names = [each.name for each in self.outputs]
        self._row_shapes = [each.shape[1:] for each in self.outputs]
        _check_inputs(self._session.get_inputs(), self.inputs)
        _check_outputs(self._session.get_outputs(), self.outputs)

    def infer(self, features: Matrix) -> list[NDArray[Any]]:
        """Compute the tensors of `outputs`, n rows each, of features of shape (n, width).

        Raises:
            OutputShapeError: for these rows the graph returns another number of rows, or rows of another shape.
        """
        RUN_STARTED_AT.set(time.perf_counter())
        tensors: list[NDArray[Any]] = self._session.run(self._names, {self._input: features}, _RUN_OPTIONS.get())
        for name, tensor, row_shape in zip(self._names, tensors, self._row_shapes, strict=True):
            if tensor.shape != (len(features), *row_shape):  # numpy would broadcast one row to all
                stated = [len(features), *row_shape]
                raise OutputShapeError(f"the graph returns {name} of shape {list(tensor.shape)}, not {stated}")
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
        session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as broken:
        reason = without_folders(str(broken))
        raise ArtifactRefusedError(f"{MODEL_FILE} is not a graph that can be run: {reason}") from broken
    session.disable_fallback()  # to another provider, which would open the graph again: the only use of its bytes
    session._model_bytes = None  # noqa: SLF001  the session would keep the graph file in memory
    return session


def _check_inputs(actual: Sequence[ort.NodeArg], stated: Sequence[Tensor]) -> None:
    """Check name, type and shape of the stated inputs; the graph must have no others."""
    found = {node.name: node for node in actual}
    for tensor in stated:
        node = found.get(tensor.name)
        if node is None or DATATYPES.get(node.type) != tensor.datatype or not _is_compatible(node.shape, tensor.shape):
            raise ArtifactRefusedError(f"the graph should take {_format(stated)}, takes {_format_nodes(actual)}")
    if len(actual) != len(stated):
        raise ArtifactRefusedError(f"the graph should take only {_format(stated)}, takes {_format_nodes(actual)}")


def _check_outputs(actual: Sequence[ort.NodeArg], stated: Sequence[Tensor]) -> None:
    """Check name and type of the stated outputs; converters declare wrong shapes, golden rows show the true ones."""
    found = {node.name: DATATYPES.get(node.type) for node in actual}
    if any(found.get(tensor.name) != tensor.datatype for tensor in stated):
        raise ArtifactRefusedError(f"the graph should have {_format(stated)}, has {_format_nodes(actual)}")


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


def check_self_contained(graph: bytes) -> None:
    """Check that every tensor of a graph is inside the graph file.

    Raises:
        ArtifactRefusedError: the values of a tensor are elsewhere, or the content is no ONNX graph.
    """
    for tensor in external_tensors(parse_model(graph)):
        raise ArtifactRefusedError(
            f"{MODEL_FILE} keeps the tensor {name_of(tensor)} outside of the graph file; `ondeck models import` embeds "
            "such tensors"
        )


def parse_model(graph: bytes) -> Message:
    """Parse a graph file as far as its tensors; other fields are kept when it is serialized.

    Raises:
        ArtifactRefusedError: the content is no ONNX graph.
    """
    try:
        model: Message = _MODEL.FromString(graph)
    except DecodeError as broken:
        raise ArtifactRefusedError(f"{MODEL_FILE} is not a graph that can be run: it is no ONNX file") from broken
    return model


def external_tensors(model: Message) -> Iterator[Any]:
    """Yield the tensors of a parsed graph whose values are in another file."""
    return (tensor for tensor in _tensors(model) if tensor.data_location or tensor.external_data)


def name_of(tensor: Any) -> str:  # noqa: ANN401  the class is made at run time
    """Return the quoted name of a tensor of a parsed graph."""
    return repr(printable(tensor.name.decode(errors="replace"), max_length=80))


def _tensors(model: Message) -> Iterator[Any]:
    """Yield the tensors at any depth; a graph may be inside of an attribute of a node, and so on."""
    waiting: list[Message] = [model]
    while waiting:
        message = waiting.pop()
        if message.DESCRIPTOR.name == "Tensor":
            yield message
            continue
        for name in _ONNX_FIELDS[message.DESCRIPTOR.name]:
            waiting.extend(getattr(message, name))


def _create_message_class() -> Any:  # noqa: ANN401  the class is made at run time
    """Make the class of the model; every message is repeated, so that a field that occurs twice is seen twice."""
    file = FileDescriptorProto(name=f"{_ONNX_PACKAGE}.proto", package=_ONNX_PACKAGE, syntax="proto2")
    repeated, optional = FieldDescriptorProto.LABEL_REPEATED, FieldDescriptorProto.LABEL_OPTIONAL
    for kind, fields in _ONNX_FIELDS.items():
        message = file.message_type.add(name=kind)
        for name, (number, target) in fields.items():
            message.field.add(
                name=name,
                number=number,
                label=repeated,
                type=FieldDescriptorProto.TYPE_MESSAGE,
                type_name=f".{_ONNX_PACKAGE}.{target}",
            )
        for name, (number, value) in _VALUES.get(kind, {}).items():
            message.field.add(name=name, number=number, label=repeated if name == "dims" else optional, type=value)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())  # type: ignore[no-untyped-call]  # protobuf types it so
    found = pool.FindMessageTypeByName(f"{_ONNX_PACKAGE}.Model")  # type: ignore[no-untyped-call]  # as above
    return GetMessageClass(found)


_MODEL: Final = _create_message_class()
