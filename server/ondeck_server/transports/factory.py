"""What carries calls between the wire and the handlers: grpcio, or HTTP/2 on the event loop itself."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from prometheus_client import CollectorRegistry

from ondeck_server.rpc.method import methods_of
from ondeck_server.rpc.metrics import CallMetrics
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.grpcio import channelz
from ondeck_server.transports.grpcio import options as transport
from ondeck_server.transports.grpcio.adapter import GrpcioAdapter
from ondeck_server.transports.grpcio.listener import shut
from ondeck_server.transports.http2.server import Http2Server

Services: TypeAlias = Iterable[tuple[ServiceDescriptor, object]]


class Transport(Protocol):
    """Takes calls on a port."""

    async def listen(self, port: int) -> int:
        """Listen on a port that others may share, 0: any; return it.

        Raises:
            CannotListenError: the port is in use, or the host is none of this machine.
            InvalidCertificatesError: what should secure the connections cannot.
        """

    def shut(self) -> None:
        """Listen no more; connections leave when they are told to, or come of age."""

    def anybody_connected(self) -> bool:
        """Tell whether there is a connection."""

    async def stop(self, grace: float) -> None:
        """Listen no more, give calls so many seconds, and end what is left."""

    def seen(self) -> dict[str, Any]:
        """Tell of the connections, as channelz does."""


def carrier_of(services: Services, settings: ServerSettings, registry: CollectorRegistry) -> Transport:
    """Make the carrier that the settings name."""
    if settings.transport == "nghttp2":
        meters = CallMetrics(registry)
        methods = [each for service, handlers in services for each in methods_of(service, handlers, meters)]
        return Http2Server(methods, settings)
    return GrpcioServer(services, settings, registry)


class GrpcioServer:
    """grpcio's own server."""

    def __init__(self, services: Services, settings: ServerSettings, registry: CollectorRegistry) -> None:
        adapter = GrpcioAdapter(registry, transport.least_compressed(settings))
        self._settings = settings
        self._port = 0
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 1), *transport.options(settings)])
        self._server.add_generic_rpc_handlers(tuple(adapter.serve(*each) for each in services))

    async def listen(self, port: int) -> int:
        """Listen, as `Transport` says."""
        self._port = transport.bind(self._server, self._settings, port)
        await self._server.start()
        return self._port

    def shut(self) -> None:
        """Listen no more; connections leave as they come of age."""
        shut(self._port)

    def anybody_connected(self) -> bool:
        """Tell whether there is a connection."""
        return channelz.anybody_connected()

    async def stop(self, grace: float) -> None:
        """Stop, as `Transport` says."""
        await self._server.stop(grace)

    def seen(self) -> dict[str, Any]:
        """Tell of the connections, as channelz does."""
        return channelz.seen()
