"""Requests to values: one FP32 input tensor, raw or typed, the requested outputs, and the scheduling parameters."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from inference.grpc_service_pb2 import InferTensorContents, ModelInferRequest
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.instances import Matrix
from ondeck_core.manifest import FP32, Tensor

MAX_ROWS: Final = 65_536  # of one request
MAX_ID: Final = 128  # characters
HIGH_PRIORITY: Final = 1  # of two levels
_FLOAT: Final = np.dtype("<f4")
_BYTES: Final = _FLOAT.itemsize
_RANK: Final = 2
_SHARED_MEMORY: Final = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")
_REFUSED: Final = {
    "sequence_id": "no model is stateful",
    "sequence_start": "no model is stateful",
    "sequence_end": "no model is stateful",
    "classification": "the classification extension is not supported; request the tensor",
    **dict.fromkeys(_SHARED_MEMORY, "the shared memory extension is not supported; send the elements with the request"),
}


def decode_input(request: ModelInferRequest, expected: Tensor) -> Matrix:
    """Return the input tensor of a request, of shape (rows, width); it may contain NaN.

    Raises:
        InvalidInstanceError: it is not the tensor that the model expected.
    """
    if len(request.id) > MAX_ID:
        raise _invalid("id", f"must be of at most {MAX_ID} characters")
    inputs, raw = request.inputs, request.raw_input_contents
    if len(inputs) != 1:
        raise _invalid("inputs", f"the model takes one tensor, {expected.name}, got {len(inputs)}")
    tensor, width = inputs[0], expected.shape[1]
    shape = tensor.shape
    if (
        len(shape) != _RANK
        or shape[1] != width
        or not 0 < (rows := shape[0]) <= MAX_ROWS
        or tensor.name != expected.name
        or tensor.datatype != FP32
    ):
        raise InvalidInstanceError(_header_violations(tensor, expected))
    if len(raw) == 1 and not tensor.HasField("contents"):
        content = raw[0]
        if len(content) != _BYTES * rows * width:
            text = f"must have {_BYTES * rows * width} bytes for FP32 of shape {[rows, width]}, has {len(content)}"
            raise _invalid("raw_input_contents[0]", text)
        return np.frombuffer(content, _FLOAT).reshape(rows, width)
    return _decode_typed(request, tensor, rows, width)


def output_indices(request: ModelInferRequest, outputs: Sequence[Tensor]) -> list[int]:
    """Return the indices of the requested outputs; a request that names none requests all.

    Raises:
        InvalidInstanceError: an output does not exist or is named twice.
    """
    if not request.outputs:
        return list(range(len(outputs)))
    names = [tensor.name for tensor in outputs]
    found: list[int] = []
    for number, output in enumerate(request.outputs):
        if output.name not in names:
            raise _invalid(f"outputs[{number}].name", f"must be one of {', '.join(names)}, got {output.name[:80]!r}")
        if names.index(output.name) in found:
            raise _invalid(f"outputs[{number}].name", f"{output.name!r} is named twice")
        if output.parameters:
            _check_parameters(f"outputs[{number}].parameters", output.parameters)
        found.append(names.index(output.name))
    return found


def scheduling(request: ModelInferRequest) -> tuple[bool, float | None]:
    """Return whether the priority of a request is high, and its timeout in seconds.

    Raises:
        InvalidInstanceError: a parameter is invalid or not supported.
    """
    _check_parameters("parameters", request.parameters)
    priority = _integer(request, "priority", ("uint64_param", "int64_param"))
    micros = _integer(request, "timeout", ("int64_param", "uint64_param"))
    return priority == HIGH_PRIORITY, micros / 1e6 if micros else None


def _integer(request: ModelInferRequest, name: str, kinds: tuple[str, ...]) -> int:
    if name not in request.parameters:
        return 0
    parameter = request.parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    value = int(getattr(parameter, kind)) if kind in kinds else -1
    if value < 0:
        raise _invalid(f"parameters.{name}", f"must be an integer, 0 or more, as {' or '.join(kinds)}")
    return value


def _check_parameters(path: str, parameters: Mapping[str, object]) -> None:
    refused = [Violation(f"{path}.{name}", text) for name, text in _REFUSED.items() if name in parameters]
    if refused:
        raise InvalidInstanceError(refused)


def _header_violations(tensor: ModelInferRequest.InferInputTensor, expected: Tensor) -> list[Violation]:
    shape, width = list(tensor.shape), expected.shape[1]
    found = []
    if tensor.name != expected.name:
        found.append(Violation("inputs[0].name", f"must be {expected.name!r}, got {tensor.name[:80]!r}"))
    if tensor.datatype != FP32:
        found.append(Violation("inputs[0].datatype", f"must be FP32, got {tensor.datatype[:80]!r}"))
    if len(shape) != _RANK or shape[1] != width or not 0 < shape[0] <= MAX_ROWS:
        text = f"must be [rows, {width}] with 1 to {MAX_ROWS} rows, got {shape[:8]}"
        found.append(Violation("inputs[0].shape", text))
    return found


def _decode_typed(
    request: ModelInferRequest, tensor: ModelInferRequest.InferInputTensor, rows: int, width: int
) -> Matrix:
    _check_parameters("inputs[0].parameters", tensor.parameters)
    if request.raw_input_contents:
        if tensor.HasField("contents"):
            raise _invalid("inputs[0].contents", "must be empty if raw_input_contents has the elements")
        raise _invalid(
            "raw_input_contents", f"must have one entry for each input, has {len(request.raw_input_contents)}"
        )
    others = [field.name for field, _ in tensor.contents.ListFields() if field.name != "fp32_contents"]
    if others:
        raise _invalid(f"inputs[0].contents.{others[0]}", "must be empty: FP32 is in fp32_contents")
    values, size = tensor.contents.fp32_contents, rows * width
    if len(values) != size:
        text = f"must have {size} elements for shape {[rows, width]}, has {len(values)}"
        raise _invalid("inputs[0].contents.fp32_contents", text)
    return _floats(tensor.contents, size).reshape(rows, width)


def _floats(contents: InferTensorContents, size: int) -> Matrix:
    """Return the floats of a message that has no other fields: its wire format is them, after a tag and their length.

    Reading them one by one would take the event loop for longer than a run.
    """
    contents.DiscardUnknownFields()  # type: ignore[attr-defined]  # the types of protobuf lack it
    return np.frombuffer(contents.SerializeToString()[-_BYTES * size :], _FLOAT)


def _invalid(field: str, description: str) -> InvalidInstanceError:
    return InvalidInstanceError([Violation(field, description)])
