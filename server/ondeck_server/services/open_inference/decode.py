"""The inputs of a request, read: one FP32 tensor, in raw bytes or typed, and the outputs that are wanted."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from inference.grpc_service_pb2 import ModelInferRequest
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.instances import Matrix
from ondeck_core.manifest import FP32, Tensor

MOST_ROWS: Final = 65_536  # of one request
FIRST: Final = 1  # of the two priorities, the one that goes first
_FLOAT: Final = np.dtype("<f4")
_BYTES: Final = _FLOAT.itemsize
_RANK: Final = 2
_SHARED_MEMORY: Final = ("shared_memory_region", "shared_memory_byte_size", "shared_memory_offset")
_REFUSED: Final = {
    "sequence_id": "no model here keeps anything from one request to the next",
    "sequence_start": "no model here keeps anything from one request to the next",
    "sequence_end": "no model here keeps anything from one request to the next",
    "classification": "there is no classification; take the tensor itself",
    **dict.fromkeys(_SHARED_MEMORY, "there is no shared memory; send the elements with the request"),
}


def features_of(request: ModelInferRequest, takes: Tensor) -> Matrix:
    """Read the one input of a request as a matrix of shape (rows, width); NaN may be in it.

    Raises:
        InvalidInstanceError: it is not what the model takes.
    """
    inputs, raw = request.inputs, request.raw_input_contents
    if len(inputs) != 1:
        raise _invalid("inputs", f"the model takes one tensor, {takes.name}, got {len(inputs)}")
    tensor, width = inputs[0], takes.shape[1]
    shape = tensor.shape
    if (
        len(shape) != _RANK
        or shape[1] != width
        or not 0 < (rows := shape[0]) <= MOST_ROWS
        or tensor.name != takes.name
        or tensor.datatype != FP32
    ):
        raise InvalidInstanceError(_header_violations(tensor, takes))
    if len(raw) == 1 and not tensor.HasField("contents"):
        content = raw[0]
        if len(content) != _BYTES * rows * width:
            text = f"must have {_BYTES * rows * width} bytes for FP32 of shape {[rows, width]}, has {len(content)}"
            raise _invalid("raw_input_contents[0]", text)
        return np.frombuffer(content, _FLOAT).reshape(rows, width)
    return _typed(request, tensor, rows, width)


def positions(request: ModelInferRequest, gives: Sequence[Tensor]) -> list[int]:
    """Tell which of the model's outputs are wanted, by their places; a request that names none wants all.

    Raises:
        InvalidInstanceError: there is no such output, or one is named twice.
    """
    if not request.outputs:
        return list(range(len(gives)))
    names = [tensor.name for tensor in gives]
    found: list[int] = []
    for number, output in enumerate(request.outputs):
        if output.name not in names:
            raise _invalid(f"outputs[{number}].name", f"must be one of {', '.join(names)}, got {output.name[:80]!r}")
        if names.index(output.name) in found:
            raise _invalid(f"outputs[{number}].name", f"{output.name!r} is named twice")
        if output.parameters:
            _refuse(f"outputs[{number}].parameters", output.parameters)
        found.append(names.index(output.name))
    return found


def waiting(request: ModelInferRequest) -> tuple[bool, float | None]:
    """Read whether a request goes first (its priority is 1), and the seconds that it may take.

    Raises:
        InvalidInstanceError: a parameter cannot be taken.
    """
    _refuse("parameters", request.parameters)
    priority = _whole(request, "priority", ("uint64_param", "int64_param"))
    micros = _whole(request, "timeout", ("int64_param", "uint64_param"))
    return priority == FIRST, micros / 1e6 if micros else None


def _whole(request: ModelInferRequest, name: str, kinds: tuple[str, ...]) -> int:
    if name not in request.parameters:
        return 0
    parameter = request.parameters[name]
    kind = parameter.WhichOneof("parameter_choice")
    value = int(getattr(parameter, kind)) if kind in kinds else -1
    if value < 0:
        raise _invalid(f"parameters.{name}", f"must be a whole number, 0 or more, as {' or '.join(kinds)}")
    return value


def _refuse(path: str, parameters: Mapping[str, object]) -> None:
    refused = [Violation(f"{path}.{name}", text) for name, text in _REFUSED.items() if name in parameters]
    if refused:
        raise InvalidInstanceError(refused)


def _header_violations(tensor: ModelInferRequest.InferInputTensor, takes: Tensor) -> list[Violation]:
    shape, width = list(tensor.shape), takes.shape[1]
    found = []
    if tensor.name != takes.name:
        found.append(Violation("inputs[0].name", f"must be {takes.name!r}, got {tensor.name[:80]!r}"))
    if tensor.datatype != FP32:
        found.append(Violation("inputs[0].datatype", f"must be FP32, got {tensor.datatype[:80]!r}"))
    if len(shape) != _RANK or shape[1] != width or not 0 < shape[0] <= MOST_ROWS:
        text = f"must be [rows, {width}] with 1 to {MOST_ROWS} rows, got {shape[:8]}"
        found.append(Violation("inputs[0].shape", text))
    return found


def _typed(request: ModelInferRequest, tensor: ModelInferRequest.InferInputTensor, rows: int, width: int) -> Matrix:
    _refuse("inputs[0].parameters", tensor.parameters)
    if request.raw_input_contents:
        if tensor.HasField("contents"):
            raise _invalid("inputs[0].contents", "must be empty where raw_input_contents holds the elements")
        raise _invalid(
            "raw_input_contents", f"must have one entry for each input, has {len(request.raw_input_contents)}"
        )
    others = [field.name for field, _ in tensor.contents.ListFields() if field.name != "fp32_contents"]
    if others:
        raise _invalid(f"inputs[0].contents.{others[0]}", "must be empty: FP32 is in fp32_contents")
    values, wanted = tensor.contents.fp32_contents, rows * width
    if len(values) != wanted:
        text = f"must have {wanted} elements for shape {[rows, width]}, has {len(values)}"
        raise _invalid("inputs[0].contents.fp32_contents", text)
    return np.fromiter(values, np.float32, wanted).reshape(rows, width)


def _invalid(field: str, description: str) -> InvalidInstanceError:
    return InvalidInstanceError([Violation(field, description)])
