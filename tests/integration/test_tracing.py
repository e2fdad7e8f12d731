"""Spans of calls, batches, statements and jobs reach an OTLP receiver; without an endpoint nothing is imported."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from sqlalchemy import text

from ondeck.v1.prediction_service_pb2 import PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import BattedBall, Client
from ondeck_runtime.correlation import correlated
from ondeck_runtime.tracing import ACTIVE, start_tracing, stop_tracing, traced_job
from ondeck_store.database import Database, open_database
from ondeck_store.settings import StoreSettings
from tests.fixtures.server import serving

TRACE_ID, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PREDICT = "ondeck.v1.PredictionService/Predict"
BALL = BattedBall(launch_speed=100, launch_angle=20)


class Receiver:
    """The URL of a receiver, and the spans that it got, each with the name of its service."""

    def __init__(self) -> None:
        self.url = ""
        self.spans: list[tuple[str, Span]] = []

    def wait_for(self, holds: Callable[[list[Span]], bool]) -> list[Span]:
        until = time.monotonic() + 30
        while not holds([span for _, span in self.spans]):
            assert time.monotonic() < until, [span.name for _, span in self.spans]
            time.sleep(0.1)
        return [span for _, span in self.spans]


@contextmanager
def run_receiver() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = [item.value.string_value for item in each.resource.attributes if item.key == "service.name"]
                receiver.spans += [(names[0], span) for scope in each.scope_spans for span in scope.spans]
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield receiver
    server.shutdown()
    server.server_close()


def attributes_of(span: Span) -> dict[str, str | int]:
    values = {item.key: item.value for item in span.attributes}
    return {key: value.string_value or value.int_value for key, value in values.items()}


@pytest.mark.parametrize("transport", ["nghttp2", "grpcio"])
def test_calls_and_their_batches_are_traced(
    small_repository: Path, transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
    with (
        run_receiver() as receiver,
        serving(small_repository, otlp_endpoint=receiver.url, transport=transport) as server,
    ):
        request = PredictRequest(batted_ball=BALL)
        request.model.name = "batted_ball"
        with grpc.insecure_channel(server.target) as channel:
            traceparent = ("traceparent", f"00-{TRACE_ID}-{CALLER}-01")
            PredictionServiceStub(channel).Predict(request, metadata=(traceparent,))
        with Client(server.target) as client:
            client.predict("batted_ball", BALL, correlation_id="at-bat 1")
            with pytest.raises(grpc.RpcError):
                client.predict("batted_ball", BattedBall(launch_speed=9999, launch_angle=1))
        spans = receiver.wait_for(lambda got: sum(each.name == PREDICT for each in got) == 3)
        batches = [each for each in spans if each.name == "batch"]
    calls = {str(attributes_of(each)["ondeck.correlation_id"]): each for each in spans if each.name == PREDICT}
    traced = calls[TRACE_ID]
    assert (traced.trace_id.hex(), traced.parent_span_id.hex()) == (TRACE_ID, CALLER)
    assert traced.kind == Span.SPAN_KIND_SERVER
    assert attributes_of(traced) == {
        "rpc.system.name": "grpc",
        "rpc.method": PREDICT,
        "rpc.response.status_code": "OK",
        "ondeck.correlation_id": TRACE_ID,
    }
    assert calls["at-bat 1"].parent_span_id == b""
    codes = {attributes_of(each)["rpc.response.status_code"]: each.status.code for each in calls.values()}
    assert codes == {"OK": Status.STATUS_CODE_UNSET, "INVALID_ARGUMENT": Status.STATUS_CODE_UNSET}
    linked = {link.span_id for batch in batches for link in batch.links}
    assert {traced.span_id, calls["at-bat 1"].span_id} <= linked
    assert {name for name, _ in receiver.spans} == {"ondeck-server"}


async def test_statements_are_parts_of_their_job(database: Database, store_home: Path) -> None:
    with run_receiver() as receiver:
        start_tracing(receiver.url, "ingest")
        try:
            async with open_database(StoreSettings(home=store_home)) as opened:
                with pytest.raises(ValueError, match="broken"), correlated("job 1") as run, traced_job(run, "job day"):  # noqa: PT012  the job reads, then fails
                    async with opened.engine.connect() as connection:
                        await connection.execute(text("SELECT count(*) FROM players"))
                    raise ValueError("broken")
        finally:
            stop_tracing()
        spans = {each.name: each for each in receiver.wait_for(lambda got: any(each.name == "job day" for each in got))}
    job, statement = spans["job day"], spans["SELECT players"]
    assert statement.parent_span_id == job.span_id
    assert attributes_of(statement) == {"db.system.name": "postgresql", "db.query.summary": "SELECT players"}
    assert (job.status.code, attributes_of(job)["error.type"]) == (Status.STATUS_CODE_ERROR, "ValueError")
    assert attributes_of(job)["ondeck.correlation_id"] == "job 1"
    assert not ACTIVE
    assert database.described


def test_without_an_endpoint_no_module_of_opentelemetry_is_imported() -> None:
    program = """
import sys
import ondeck_server.worker.main
from ondeck_runtime.tracing import ACTIVE, start_tracing
start_tracing(None, "server")
assert not ACTIVE
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
