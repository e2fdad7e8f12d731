"""One correlation id runs from the client through the log of the server and back; slow calls are logged with parts."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from ondeck.v1.prediction_service_pb2 import PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import (
    AsyncClient,
    BattedBall,
    BattedBallColumns,
    Client,
    correlated,
    correlation_id_of,
)
from tests.fixtures.server import RunningServer, serving

HEADER = "x-correlation-id"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01")
INVALID = BattedBall(launch_speed=9999, launch_angle=20)
BALL = BattedBall(launch_speed=100, launch_angle=20)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "server.log"


@pytest.fixture(scope="module", params=["nghttp2", "grpcio"])
def server(request: pytest.FixtureRequest, small_repository: Path, log: Path) -> Iterator[RunningServer]:
    settings = {"transport": request.param, "slow_call_seconds": 1e-6, "log_format": "json"}
    with serving(small_repository, log=log, **settings) as running:
        yield running


@pytest.fixture
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.target) as opened:
        yield opened


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    with Client(server.target) as opened:
        yield opened


def events_of(log: Path, correlation_id: str, event: str) -> list[dict[str, Any]]:
    """Return the lines of an event with an id, once there is one."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
        found = [each for each in lines if each.get("correlation_id") == correlation_id and each["event"] == event]
        if found:
            return found
        time.sleep(0.05)
    return []


def failure(call: Callable[[], object]) -> Any:
    with pytest.raises(grpc.RpcError) as failed:
        call()
    return failed.value


def trailers(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata() or ())


def test_the_id_of_a_traceparent_comes_back_unless_the_caller_sends_its_own(channel: grpc.Channel, log: Path) -> None:
    stub, request = PredictionServiceStub(channel), PredictRequest(batted_ball=BALL)
    request.model.name = "batted_ball"
    _, call = stub.Predict.with_call(request, metadata=(TRACEPARENT,))
    assert trailers(call)[HEADER] == TRACE_ID
    _, call = stub.Predict.with_call(request, metadata=(TRACEPARENT, (HEADER, "mine")))
    assert trailers(call)[HEADER] == "mine"
    error = failure(lambda: stub.Predict(PredictRequest(), metadata=(TRACEPARENT,)))
    assert trailers(error)[HEADER] == TRACE_ID
    assert events_of(log, TRACE_ID, "call_rejected")


def test_an_invalid_traceparent_is_ignored(channel: grpc.Channel) -> None:
    invalid = ("traceparent", f"00-{'0' * 32}-00f067aa0ba902b7-01")
    error = failure(lambda: PredictionServiceStub(channel).Predict(PredictRequest(), metadata=(invalid,)))
    assert trailers(error)[HEADER] not in {"", "0" * 32}


def test_a_rejected_call_is_logged_with_its_reason_and_without_its_request(client: Client, log: Path) -> None:
    error = failure(lambda: client.predict("batted_ball", INVALID, correlation_id="at-bat 1"))
    assert correlation_id_of(error) == "at-bat 1"
    (line,) = events_of(log, "at-bat 1", "call_rejected")
    assert line["method"] == "/ondeck.v1.PredictionService/Predict"
    assert (line["code"], line["reason"]) == ("INVALID_ARGUMENT", "ERROR_REASON_INVALID_FIELD")
    assert line["program"] == "server"
    assert "9999" not in str(line)


def test_an_unknown_method_has_an_id_that_the_log_has_too(
    channel: grpc.Channel, server: RunningServer, log: Path, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.params["server"] == "grpcio":
        pytest.skip("grpcio rejects unknown methods itself")
    call: Any = channel.unary_unary("/ondeck.v1.Nothing/Predict")
    assert trailers(failure(lambda: call(b"", metadata=((HEADER, "at-bat 2"),))))[HEADER] == "at-bat 2"
    (line,) = events_of(log, "at-bat 2", "call_rejected")
    assert (line["code"], line["method"]) == ("UNIMPLEMENTED", "/ondeck.v1.Nothing/Predict")
    assert len(trailers(failure(lambda: call(b"")))[HEADER]) > 8
    assert server.process.poll() is None


def test_every_call_of_a_client_has_an_id_of_its_own_or_that_of_the_context(client: Client) -> None:
    first, second = (correlation_id_of(failure(lambda: client.predict("batted_ball", INVALID))) for _ in "12")
    assert len(first) == len(second) == 32
    assert first != second
    with correlated("game 7") as chosen:
        assert correlation_id_of(failure(lambda: client.predict("batted_ball", INVALID))) == chosen == "game 7"
        error = failure(lambda: client.predict("batted_ball", INVALID, correlation_id="at-bat 3"))
        assert correlation_id_of(error) == "at-bat 3"
        stream = client.stream("batted_ball", [("1", BALL)], timeout=0)
        assert correlation_id_of(failure(lambda: list(stream))) == "game 7"


def test_an_id_belongs_to_its_thread(client: Client) -> None:
    found: list[str] = []

    def call() -> None:
        found.append(correlation_id_of(failure(lambda: client.predict("batted_ball", INVALID))))

    with correlated("of the first thread"):
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert found != ["of the first thread"]


async def test_the_asyncio_client_sends_ids_too(server: RunningServer, log: Path) -> None:
    async with AsyncClient(server.target) as client:
        with correlated("game 8"), pytest.raises(grpc.RpcError) as failed:
            await client.batch_predict("batted_ball", BattedBallColumns(launch_speed=[9999], launch_angle=[1]))
        assert correlation_id_of(failed.value) == "game 8"
        assert "game 8" in str(failed.value.__notes__)
    assert events_of(log, "game 8", "call_rejected")


@pytest.mark.parametrize("invalid", ["x" * 129, "snow ☃", "two\nlines", " padded"])
def test_an_id_that_cannot_be_sent_is_refused(client: Client, invalid: str) -> None:
    with pytest.raises(ValueError, match="correlation id"):
        client.predict("batted_ball", BALL, correlation_id=invalid)


@pytest.mark.parametrize("rows", [1, 3000])
def test_a_slow_call_is_logged_with_its_parts(client: Client, log: Path, rows: int) -> None:
    name = f"slow {rows}"
    if rows == 1:
        client.predict("batted_ball", BALL, correlation_id=name)
    else:
        columns = BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
        client.batch_predict("batted_ball", columns, correlation_id=name)
    (line,) = events_of(log, name, "call_slow")
    parts = [line[part] for part in ("queue", "features", "run", "encode")]
    assert line["code"] == "OK"
    assert line["run"] > 0
    assert line["features"] > 0
    assert all(part >= 0 for part in parts)
    if rows == 1:
        assert sum(parts) == pytest.approx(line["total"], abs=1e-4)


def test_a_stream_is_never_slow(client: Client, log: Path) -> None:
    assert len(list(client.stream("batted_ball", [("1", BALL)], correlation_id="long stream"))) == 1
    client.predict("batted_ball", BALL, correlation_id="after the stream")
    assert events_of(log, "after the stream", "call_slow")
    assert "long stream" not in log.read_text()
