"""Tensor inference: leases, streams and output order."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import count
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import pytest_asyncio

from inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse
from ondeck_core.errors import InvalidInstanceError
from ondeck_registry.import_onnx import publish_graph
from ondeck_server.models.manager import ModelManager
from ondeck_server.rpc.ordered_stream import MAX_IN_FLIGHT
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.open_inference.inference import TensorInference
from tests.factories.model_managers import open_model_manager
from tests.factories.onnx_graphs import WIDTH, scoring_graph

MODEL = "scoring"


class UnlimitedContext:
    """A call context without a deadline."""

    method = "/inference.GRPCInferenceService/ModelInfer"
    correlation_id = "one"
    metadata: Mapping[str, str] = MappingProxyType({})
    peer = "ipv4:127.0.0.1:50000"
    identity = ""

    def time_left(self) -> float | None:
        return None

    def hold(self, size: int) -> None: ...

    def release(self, size: int) -> None: ...

    def cancelled(self) -> bool:
        return False


@pytest_asyncio.fixture(loop_scope="session")
async def models(tmp_path: Path) -> ModelManager:
    publish_graph(tmp_path, MODEL, scoring_graph())
    return await open_model_manager(tmp_path)


@pytest.fixture
def inference(models: ModelManager) -> TensorInference:
    return TensorInference(models, GcraLimiter(rows_per_second=0))


def open_leases(models: ModelManager) -> int:
    return models._servables[MODEL, 1]._leases


def request(number: int = 0, model: str = MODEL, width: int = WIDTH) -> ModelInferRequest:
    requested = ModelInferRequest(model_name=model, id=str(number), raw_input_contents=[bytes(4 * width)])
    requested.inputs.add(name="x", datatype="FP32", shape=(1, width))
    return requested


async def test_a_lease_ends_with_response_refusal_and_cancellation(
    models: ModelManager, inference: TensorInference
) -> None:
    await inference.start(request(), UnlimitedContext())
    with pytest.raises(InvalidInstanceError):
        await inference.start(request(width=WIDTH + 1), UnlimitedContext())
    cancelled = inference.start(request(), UnlimitedContext())
    cancelled.cancel()
    cancelled.cancel()
    await asyncio.sleep(0)
    stats = models.stats[MODEL, 1]
    assert (open_leases(models), stats.success_count + stats.fail_count) == (0, 3)
    assert stats.inference_count == stats.success_count


async def test_a_cancelled_stream_ends_at_once_and_holds_no_lease(
    models: ModelManager, inference: TensorInference
) -> None:
    async def endless() -> AsyncIterator[ModelInferRequest]:
        for number in count():
            yield request(number)

    answers = inference.stream(endless(), UnlimitedContext())
    assert (await anext(answers)).infer_response.id == "0"
    for _ in range(3):
        await asyncio.sleep(0)
    assert open_leases(models) >= MAX_IN_FLIGHT  # the queue is full and one more request waits
    async with asyncio.timeout(10):
        await answers.aclose()
    assert open_leases(models) == 0


async def test_an_unreadable_request_ends_the_stream_after_earlier_responses(
    models: ModelManager, inference: TensorInference
) -> None:
    async def failing_requests() -> AsyncIterator[ModelInferRequest]:
        yield request(0)
        yield request(1, model="nothing")
        raise ValueError("no request")

    answers = aiter(inference.stream(failing_requests(), UnlimitedContext()))
    first, second = await anext(answers), await anext(answers)
    assert (first.infer_response.id, first.error_message) == ("0", "")
    assert (second.infer_response.id, "nothing" in second.error_message) == ("1", True)
    with pytest.raises(ValueError, match="no request"):
        await anext(answers)
    assert open_leases(models) == 0


async def test_outputs_come_in_the_requested_order(inference: TensorInference) -> None:
    requested = request()
    requested.outputs.add(name="label")
    answer = await inference.start(requested, UnlimitedContext())
    assert [each.name for each in answer.outputs] == ["label"]
    assert np.frombuffer(answer.raw_output_contents[0], np.int64).tolist() == [0]


@pytest.mark.parametrize("names", [("probabilities",), ("label", "scores", "probabilities")])
@pytest.mark.parametrize("rows", [1, 2, 40, 300])
async def test_a_serialized_response_equals_the_message(tmp_path: Path, names: tuple[str, ...], rows: int) -> None:
    publish_graph(tmp_path, MODEL, scoring_graph(), names)
    inference = TensorInference(await open_model_manager(tmp_path), GcraLimiter(rows_per_second=0))
    requested = request()
    requested.id = ""
    requested.inputs[0].shape[0] = rows
    requested.raw_input_contents[0] = np.random.default_rng(rows).normal(size=(rows, WIDTH)).astype("<f4").tobytes()
    message = await inference.start(requested, UnlimitedContext())
    for _ in range(2):  # the second response is made from what the first one has left
        pending = inference.start(requested, UnlimitedContext())
        await pending.outputs
        assert ModelInferResponse.FromString(pending.finish()) == message
    assert [tensor.shape[0] for tensor in message.outputs] == [rows] * len(names)


async def test_a_serialized_response_has_the_id(inference: TensorInference) -> None:
    pending = inference.start(request(7), UnlimitedContext())
    await pending.outputs
    assert ModelInferResponse.FromString(pending.finish()).id == "7"
