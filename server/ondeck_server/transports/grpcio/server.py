"""The grpcio server, gRPC's reference implementation, as a `Transport`."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import grpc

from ondeck_server.rpc.method import CallMetrics, Method
from ondeck_server.settings import ServerSettings
from ondeck_server.transports.grpcio import channelz
from ondeck_server.transports.grpcio.call import UnknownMethods, generic_handlers
from ondeck_server.transports.grpcio.options import bind, compression_threshold, server_options

_OPEN_FILES: Final = Path("/proc/self/fd")


class GrpcioServer:
    """Serves methods on a port that other processes may share."""

    def __init__(self, methods: Iterable[Method], settings: ServerSettings, metrics: CallMetrics) -> None:
        self._settings = settings
        self._port = 0
        self._server = grpc.aio.server(
            options=[("grpc.so_reuseport", 1), *server_options(settings)], maximum_concurrent_rpcs=settings.max_calls
        )
        self._server.add_generic_rpc_handlers(generic_handlers(methods, compression_threshold(settings)))
        self._server.add_generic_rpc_handlers((UnknownMethods(metrics.other),))

    async def listen(self, port: int) -> int:
        """Listen on a port and return it; errors as `Transport.listen`."""
        self._port = bind(self._server, self._settings, port)
        await self._server.start()
        return self._port

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections end at their maximum age."""
        close_listeners(self._port)

    def has_connections(self) -> bool:
        """Return whether a client is connected."""
        return channelz.has_connections()

    async def stop(self, grace: float) -> None:
        """Stop accepting, wait up to `grace` seconds for open calls, and end the rest."""
        await self._server.stop(grace)

    def channelz_snapshot(self) -> dict[str, Any]:
        """Return servers and sockets in the JSON form of channelz."""
        return channelz.snapshot()


def close_listeners(port: int) -> None:
    """Close this process's listening sockets on a port, which grpcio cannot do while it keeps connections open.

    grpcio logs one failed accept4.
    """
    for listener in _listeners(port):
        with listener, suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _listeners(port: int) -> Iterator[socket.socket]:
    for name in os.listdir(_OPEN_FILES) if _OPEN_FILES.exists() else ():  # noqa: PTH208  only the numbers are needed
        with suppress(OSError):
            found = socket.socket(fileno=os.dup(int(name)))
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port:
                yield found
            else:
                found.close()
