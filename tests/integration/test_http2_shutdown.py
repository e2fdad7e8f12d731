"""Connections and calls that arrive during shutdown get GOAWAY and their grace period."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from google.protobuf.message import Message
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event
from h2.settings import SettingCodes

from ondeck.v1.prediction_service_pb2 import DESCRIPTOR as PREDICTION_SERVICE
from ondeck.v1.prediction_service_pb2 import BatchPredictResponse
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.services.health import HEALTH, HealthService
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.http2 import admission
from ondeck_server.transports.http2.server import Http2Server
from tests.conformance.http2_client import frame_message, open_http2
from tests.conformance.stock_client import BATCH_PREDICT
from tests.fixtures.tls import Authority

SECONDS = 20.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
PING, GOAWAY, ACKNOWLEDGED = 6, 7, b"\1"
LARGE_WINDOW = 1 << 30  # bytes
LONG = BatchPredictResponse(probabilities=[0.5] * 1_500_000)


def first_events(raw: socket.socket, authority: Authority) -> list[Event]:
    """Complete the TLS handshake and return the first events."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
        http = H2Connection()
        http.initiate_connection()
        secured.sendall(http.data_to_send())
        return http.receive_data(secured.recv(65536))


async def test_a_connection_in_its_tls_handshake_gets_goaway_at_shutdown(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("127.0.0.1")
    settings = ServerSettings(tls_certificate=own.certificate, tls_key=own.key)
    server = Http2Server(
        methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(MetricsBlock())),
        settings,
        CallMetrics(MetricsBlock()),
    )
    with socket.create_connection(("127.0.0.1", await server.listen(0)), timeout=SECONDS) as raw:
        await asyncio.sleep(0.1)
        server.stop_accepting()
        events = await asyncio.to_thread(first_events, raw, authority)
        assert any(isinstance(each, ConnectionTerminated) for each in events)
    await server.stop(0)


class LargeResponse:
    """Handlers of every rpc of a service with a large response."""

    def __getattr__(self, _: str) -> object:
        async def respond(_: CallContext, __: Message) -> Message:
            return LONG

        return respond


async def test_a_slow_reader_gets_the_drain_time_for_the_rest_of_a_response() -> None:
    service = PREDICTION_SERVICE.services_by_name["PredictionService"]
    server = Http2Server(
        methods_of(service, LargeResponse(), CallMetrics(MetricsBlock())), ServerSettings(), CallMetrics(MetricsBlock())
    )
    target = f"127.0.0.1:{await server.listen(0)}"
    stream_request = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read() -> int:
        with open_http2(target) as http2:
            http2.http.increment_flow_control_window(LARGE_WINDOW)
            http2.http.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: LARGE_WINDOW})
            list(http2.events(0.5))
            http2.send(http2.start_call(BATCH_PREDICT), frame_message(b""), end=True)
            loop.call_soon_threadsafe(stream_request.set)
            http2.socket.settimeout(SECONDS)
            time.sleep(3)
            return sum(map(len, iter(lambda: http2.socket.recv(65536), b"")))

    reading = asyncio.create_task(asyncio.to_thread(read))
    await stream_request.wait()
    await asyncio.sleep(0.5)
    await server.stop(SECONDS)
    assert not server.has_connections()
    assert await reading > LONG.ByteSize()


async def test_a_connection_with_a_leaked_window_gets_goaway_before_it_stalls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "_CONNECTION_WINDOW", 1 << 20)
    server = Http2Server(
        methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(MetricsBlock())),
        ServerSettings(keepalive_seconds=1),
        CallMetrics(MetricsBlock()),
    )
    target = f"127.0.0.1:{await server.listen(0)}"

    def got_goaway() -> bool:
        with open_http2(target) as http2:
            return any(isinstance(each, ConnectionTerminated) for each in http2.events(SECONDS))

    assert await asyncio.to_thread(got_goaway)
    await server.stop(0)


def wait_second_goaway(raw: socket.socket) -> None:
    """Acknowledge the server's ping and wait for its second GOAWAY, which names the last stream."""
    raw.sendall(PREFACE + NO_SETTINGS)
    with raw.makefile("rb") as stream:
        goaways = 0
        while goaways < 2:
            head = stream.read(9)
            body = stream.read(int.from_bytes(head[:3], "big"))
            goaways += head[3] == GOAWAY
            if head[3] == PING:
                raw.sendall(head[:4] + ACKNOWLEDGED + head[5:] + body)


async def test_frames_sent_after_goaway_cause_no_error() -> None:
    server = Http2Server(
        methods_of(HEALTH, HealthService(HealthRegistry()), CallMetrics(MetricsBlock())),
        ServerSettings(),
        CallMetrics(MetricsBlock()),
    )
    with socket.create_connection(("127.0.0.1", await server.listen(0)), timeout=SECONDS) as raw:
        await asyncio.sleep(0.1)
        server.stop_accepting()
        await asyncio.to_thread(wait_second_goaway, raw)
        for _ in range(3):  # on a closed socket the first causes a reset and the next fails
            await asyncio.sleep(0.1)
            raw.sendall(b"\0\0\x08\x06\0\0\0\0\0anything")
        assert await asyncio.to_thread(raw.recv, 1) == b""
    await server.stop(0)
