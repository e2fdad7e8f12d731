"""Tensors to messages: what a graph gave, as a caller gets it."""

from typing import Any, Final
from weakref import WeakKeyDictionary

from numpy.typing import NDArray

from inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from ondeck_core.manifest import Tensor
from ondeck_registry.onnx_session import OnnxSession
from ondeck_server.batching.queue import Outputs
from ondeck_server.models.servable import LoadedGraph

FINAL: Final = "triton_final_response"
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
    """Writes answers. What all of a version's have in common is made once, and copied: that is twice as fast."""

    def __init__(self) -> None:
        self._commons: WeakKeyDictionary[OnnxSession, ModelInferResponse] = WeakKeyDictionary()

    def answer(
        self, request: ModelInferRequest, version: LoadedGraph, outputs: Outputs, places: list[int] | None
    ) -> ModelInferResponse:
        """Write the outputs that are wanted, by their places; None: all of them."""
        if places is None:
            response = ModelInferResponse()
            response.CopyFrom(self._common(version))
        else:
            gives = version.session.outputs
            response = _begun(version, [gives[place] for place in places])
            outputs = [outputs[place] for place in places]
        response.id = request.id
        if len(outputs[0]) != 1:
            for tensor, output in zip(response.outputs, outputs, strict=True):
                tensor.shape[0] = len(output)
        if request.raw_input_contents or not _write_typed(response, outputs):
            response.raw_output_contents.extend([output.tobytes() for output in outputs])
        return response

    def _common(self, version: LoadedGraph) -> ModelInferResponse:
        common = self._commons.get(version.session)
        if common is None:
            common = self._commons[version.session] = _begun(version, version.session.outputs)
        return common


def in_stream(response: ModelInferResponse) -> ModelStreamInferResponse:
    """Make an answer one of a stream; each request has one, so it is always the last."""
    response.parameters[FINAL].bool_param = True
    return ModelStreamInferResponse(infer_response=response)


def failed_in_stream(request: ModelInferRequest, message: str) -> ModelStreamInferResponse:
    """Say in a stream why a request was not answered."""
    answer = ModelStreamInferResponse(error_message=message, infer_response=ModelInferResponse(id=request.id))
    answer.infer_response.parameters[FINAL].bool_param = True
    return answer


def _begun(version: LoadedGraph, gives: tuple[Tensor, ...] | list[Tensor]) -> ModelInferResponse:
    response = ModelInferResponse(model_name=version.manifest.model, model_version=str(version.manifest.version))
    for tensor in gives:
        response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=(1, *tensor.shape[1:]))
    return response


def _write_typed(response: ModelInferResponse, outputs: Outputs) -> bool:
    """Write elements typed; False: one of the tensors is of a type that has no field, so all go raw."""
    if any(tensor.datatype not in _TYPED for tensor in response.outputs):
        return False
    for tensor, output in zip(response.outputs, outputs, strict=True):
        _elements(tensor, output)
    return True


def _elements(tensor: ModelInferResponse.InferOutputTensor, output: NDArray[Any]) -> None:
    getattr(tensor.contents, _TYPED[tensor.datatype]).extend(output.ravel().tolist())
