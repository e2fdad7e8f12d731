"""Who comes while the server leaves is told so."""

import asyncio
import socket
import ssl
from pathlib import Path

from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event
from prometheus_client import CollectorRegistry

from ondeck_server.health import Health
from ondeck_server.rpc.health_messages import HEALTH
from ondeck_server.rpc.health_service import HealthHandlers
from ondeck_server.rpc.http2.house import House
from ondeck_server.rpc.meter import Meters
from ondeck_server.rpc.methods import methods_of
from ondeck_server.settings import ServerSettings
from tests.fixtures_tls import Authority

SECONDS = 20.0


def heard(raw: socket.socket, authority: Authority) -> list[Event]:
    """Secure a connection, and tell what the server says first."""
    context = ssl.create_default_context(cafile=str(authority.file))
    context.set_alpn_protocols(["h2"])
    with context.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
        http = H2Connection()
        http.initiate_connection()
        secured.sendall(http.data_to_send())
        return http.receive_data(secured.recv(65536))


async def test_a_connection_that_is_still_being_secured_when_the_server_leaves_is_told_to_leave(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("127.0.0.1")
    settings = ServerSettings(tls_certificate=own.certificate, tls_key=own.key)
    house = House(methods_of(HEALTH, HealthHandlers(Health()), Meters(CollectorRegistry())), settings)
    with socket.create_connection(("127.0.0.1", await house.listen(0)), timeout=SECONDS) as raw:
        await asyncio.sleep(0.1)
        house.shut()
        told = await asyncio.to_thread(heard, raw, authority)
        assert any(isinstance(each, ConnectionTerminated) for each in told)
    await house.stop(0)
