"""Values to responses: the output tensors of a graph."""

from typing import Final
from weakref import WeakKeyDictionary

from inference.grpc_service_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelStreamInferResponse,
)
from ondeck_core.manifest import Tensor
from ondeck_registry.onnx_session import OnnxSession
from ondeck_server.batching.queue import Outputs
from ondeck_server.models.servable import LoadedGraph
from ondeck_server.services.open_inference.decode import MAX_ID

FINAL: Final = "triton_final_response"
_AS_IN_MEMORY: Final = {"bool_contents": 1, "fp32_contents": 6, "fp64_contents": 7}  # numbers of these fields
_MANY_ELEMENTS: Final = 1024  # fewer are faster as a list
_LENGTH_DELIMITED: Final = 2  # wire type
_CONTINUES: Final = 0x80  # bit of a byte of a varint: another one follows
_MAX_KEPT_ROWS: Final = 256
_RAW_TAG: Final = bytes((ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED,))
_MAX_SHORT_LENGTH: Final = 128  # bytes, whose length takes one byte
_TYPED: Final = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


class ResponseEncoder:
    """Encodes responses from a template for each version, which is twice as fast as a new message."""

    def __init__(self) -> None:
        self._templates: WeakKeyDictionary[OnnxSession, ModelInferResponse] = WeakKeyDictionary()
        self._heads: WeakKeyDictionary[OnnxSession, dict[int, bytes]] = WeakKeyDictionary()

    def encode(
        self, request: ModelInferRequest, version: LoadedGraph, outputs: Outputs, indices: list[int] | None
    ) -> ModelInferResponse:
        """Return the requested outputs by their indices; None: all."""
        if indices is None:
            response = ModelInferResponse()
            response.CopyFrom(self._template(version))
        else:
            tensors = version.session.outputs
            response = _response(version, [tensors[index] for index in indices])
            outputs = [outputs[index] for index in indices]
        response.id = request.id
        _set_rows(response, outputs)
        if request.raw_input_contents or not write_typed(response, outputs):
            response.raw_output_contents.extend([output.tobytes() for output in outputs])
        return response

    def serialize(
        self, request: ModelInferRequest, version: LoadedGraph, outputs: Outputs, indices: list[int] | None
    ) -> bytes:
        """Return what `encode` returns, serialized; all outputs of a few rows in a quarter of the time.

        Serialized messages of one type merge if they are concatenated: the fields that all responses with as many rows
        have in common are kept in this form.
        """
        rows = len(outputs[0])
        if indices is not None or request.id or rows > _MAX_KEPT_ROWS or not request.raw_input_contents:
            return self.encode(request, version, outputs, indices).SerializeToString()
        heads = self._heads.get(version.session)
        if heads is None:
            heads = self._heads[version.session] = {}
        head = heads.get(rows)
        if head is None:
            head = heads[rows] = self._head(version, outputs)
        if len(outputs) == 1 and (size := outputs[0].nbytes) < _MAX_SHORT_LENGTH:
            return b"%b%b%c%b" % (head, _RAW_TAG, size, outputs[0].tobytes())
        return head + ModelInferResponse(raw_output_contents=[each.tobytes() for each in outputs]).SerializeToString()

    def _head(self, version: LoadedGraph, outputs: Outputs) -> bytes:
        response = ModelInferResponse()
        response.CopyFrom(self._template(version))
        _set_rows(response, outputs)
        return response.SerializeToString()

    def _template(self, version: LoadedGraph) -> ModelInferResponse:
        template = self._templates.get(version.session)
        if template is None:
            template = self._templates[version.session] = _response(version, version.session.outputs)
        return template


def stream_response(response: ModelInferResponse) -> ModelStreamInferResponse:
    """Return a response for a stream; each request has one response, so it is always the final one."""
    response.parameters[FINAL].bool_param = True
    return ModelStreamInferResponse(infer_response=response)


def stream_failure(request: ModelInferRequest, message: str) -> ModelStreamInferResponse:
    """Return the response of a failed request for a stream."""
    response = ModelStreamInferResponse(
        error_message=message, infer_response=ModelInferResponse(id=request.id[:MAX_ID])
    )
    response.infer_response.parameters[FINAL].bool_param = True
    return response


def _response(version: LoadedGraph, tensors: tuple[Tensor, ...] | list[Tensor]) -> ModelInferResponse:
    response = ModelInferResponse(model_name=version.manifest.model, model_version=str(version.manifest.version))
    for tensor in tensors:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=(1, *tensor.shape[1:]))
    return response


def _set_rows(response: ModelInferResponse, outputs: Outputs) -> None:
    if len(outputs[0]) != 1:
        for tensor, output in zip(response.outputs, outputs, strict=True):
            tensor.shape[0] = len(output)


def write_typed(response: ModelInferResponse, outputs: Outputs) -> bool:
    """Write typed elements; False: a tensor has a type without a typed field, so all must be raw."""
    if any(tensor.datatype not in _TYPED for tensor in response.outputs):
        return False
    for tensor, output in zip(response.outputs, outputs, strict=True):
        field = _TYPED[tensor.datatype]
        if output.size >= _MANY_ELEMENTS and field in _AS_IN_MEMORY:
            tensor.contents.MergeFromString(_packed(_AS_IN_MEMORY[field], output.tobytes()))
        else:
            getattr(tensor.contents, field).extend(output.ravel().tolist())
    return True


def _packed(field: int, content: bytes) -> bytes:
    """Return a packed field in the wire format: it copies memory, where a list has an object for each element."""
    return bytes((field << 3 | _LENGTH_DELIMITED,)) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    digits = []
    while value >= _CONTINUES:
        digits.append(value % _CONTINUES | _CONTINUES)
        value //= _CONTINUES
    return bytes((*digits, value))
