"""Calls beside bulk rows and beside an endless run, on the real server."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from inference.grpc_service_pb2 import ModelInferRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck.v1.instances_pb2 import BattedBall, BattedBallColumns
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_registry.import_onnx import publish_graph
from tests.factories.onnx_graphs import WIDTH, looping_graph, scoring_graph
from tests.fixtures.server import RunningServer, serving
from tests.integration.test_server_start_and_shutdown import page

ENDLESS: Final = 1e15
BULK_ROWS: Final = 50_000
MODEL: Final = ModelSpec(name="batted_ball")


@contextmanager
def connected(server: RunningServer, stub: Callable[[grpc.Channel], Any]) -> Iterator[Any]:
    options = (("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", 1 << 30))
    with grpc.insecure_channel(server.target, options) as channel:
        yield stub(channel)


@pytest.mark.parametrize("transport", ["nghttp2", "grpcio"])
def test_bulk_calls_refuse_no_interactive_call(small_repository: Path, transport: str) -> None:
    columns = BattedBallColumns(launch_speed=[100] * BULK_ROWS, launch_angle=[20] * BULK_ROWS)
    limits: dict[str, Any] = {"max_queued_rows": 32, "max_queued_bulk_rows": 2 * BULK_ROWS}
    with (
        serving(small_repository, transport=transport, **limits) as server,
        connected(server, PredictionServiceStub) as bulk_stub,
        connected(server, PredictionServiceStub) as stub,
    ):
        one = PredictRequest(model=MODEL, batted_ball=BattedBall(launch_speed=100, launch_angle=20))
        expected = stub.Predict(one, timeout=30).prediction
        request = BatchPredictRequest(model=MODEL, batted_balls=columns)
        bulk = [bulk_stub.BatchPredict.future(request, timeout=120, compression=grpc.Compression.Gzip) for _ in "ab"]
        answered = 0
        while not any(each.done() for each in bulk):
            stub.Predict(one, timeout=30)  # raises if it is refused
            answered += 1
        assert answered >= 20
        for each in bulk:
            outcomes = len(expected.outcomes)
            rows = np.array(each.result().probabilities).reshape(BULK_ROWS, outcomes)
            np.testing.assert_allclose(rows[[0, -1]], [[o.probability for o in expected.outcomes]] * 2, atol=1e-6)


def tensor(model: str, largest: float) -> ModelInferRequest:
    request = ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="FP32", shape=[1, WIDTH])
    request.raw_input_contents.append(np.array([largest, 0, 0, 0], dtype="<f4").tobytes())
    return request


def test_an_endless_run_is_ended_and_other_models_serve_meanwhile(tmp_path: Path) -> None:
    models, log = tmp_path / "models", tmp_path / "log"
    publish_graph(models, "looping", looping_graph())
    publish_graph(models, "scores", scoring_graph())
    with (
        serving(models, log=log, max_run_seconds=2, worker_timeout_seconds=2) as server,
        connected(server, GRPCInferenceServiceStub) as stub,
    ):
        workers = server.workers()
        endless: Future[Any] = stub.ModelInfer.future(tensor("looping", ENDLESS), timeout=60)
        answered = 0
        while not endless.done():
            stub.ModelInfer(tensor("scores", 1), timeout=5)
            answered += 1
        assert answered >= 20
        status = rpc_status.from_call(endless)  # type: ignore[arg-type]  # the future is the call
        info = ErrorInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert (status.code, info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "RUN_TIMEOUT")
        assert stub.ModelInfer(tensor("looping", 1), timeout=5).model_name == "looping"
        assert server.workers() == workers
        assert 'ondeck_run_timeouts_total{model="looping",version="1"} 1.0' in _metrics(server)
    text = log.read_text()
    assert text.count("run_timed_out") == 1
    assert "Traceback" not in text


def _metrics(server: RunningServer) -> str:
    until = time.monotonic() + 10
    while "ondeck_run_timeouts_total{" not in (text := page(f"{server.admin}/metrics")[1]):
        assert time.monotonic() < until
        time.sleep(0.1)
    return text
