"""Where connections come in, and what they share."""

import asyncio
import socket
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ondeck_server.rpc.method import Method
from ondeck_server.security.tls import CertificateReloader, certificate_files
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import CannotListenError, address_of, bind_all, bind_one
from ondeck_server.transports.http2.connection import Http2Connection
from ondeck_server.transports.http2.keepalive import KeepaliveConfig
from ondeck_server.transports.http2.peer import peer_of
from ondeck_server.transports.http2.stream import StreamLimits
from ondeck_server.transports.http2.tls import secured

_KIBIBYTE: Final = 1 << 10
_MEBIBYTE: Final = 1 << 20
_BACKLOG: Final = 1024  # connections that may wait to be taken
_LOOK_EVERY: Final = 0.02
_QUIET_SECONDS: Final = 1.0  # in which nothing is done, after which connections that stay are not waited for


class Http2Server:
    """Takes calls of some methods on a port that others may share."""

    def __init__(self, methods: Iterable[Method], settings: ServerSettings) -> None:
        self.methods: Mapping[bytes, Method] = {method.name.encode(): method for method in methods}
        self.bounds = bounds_of(settings)
        self.terms = terms_of(settings)
        self.most_calls = settings.max_concurrent_streams
        self._settings = settings
        self._connections: set[Http2Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._calls_begun = 0  # on connections that are gone
        self._is_shut = False

    async def listen(self, port: int) -> int:
        """Listen on a port (0: any) of every address of the settings' host; return the port.

        Raises:
            CannotListenError: the port is in use, or the host is none of this machine.
            InvalidCertificatesError: a file of the certificates is missing, or is not what it should be.
        """
        files, host = certificate_files(self._settings), self._settings.host
        context = None if files is None else secured(CertificateReloader(files))
        try:
            for opened in bind_all(host, port, _shared):
                port = int(opened.getsockname()[1])
                self._listeners.append(await self._listening(opened, context))
        except OSError as failed:
            raise CannotListenError(address_of(host, port), "ONDECK_PORT or --port") from failed
        return port

    async def _listening(self, opened: socket.socket, context: ssl.SSLContext | None) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        return await loop.create_server(
            lambda: Http2Connection(self, peer_of), sock=opened, ssl=context, backlog=_BACKLOG
        )

    def came(self, connection: Http2Connection) -> None:
        """Take in a new connection; one that was still being secured when this was shut is to end, too."""
        self._connections.add(connection)
        if self._is_shut:
            connection.keeping.retire()

    def went(self, connection: Http2Connection) -> None:
        """Forget one that is gone."""
        self._connections.discard(connection)
        self._calls_begun += connection.calls_begun

    def shut(self) -> None:
        """Listen no more, and let every connection end, as its client is told."""
        self._is_shut = True
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.keeping.retire()

    def anybody_connected(self) -> bool:
        """Tell whether there is a connection."""
        return bool(self._connections)

    async def stop(self, grace: float) -> None:
        """Shut, give calls so many seconds, and end what is left."""
        self.shut()
        clock = asyncio.get_running_loop().time
        busy_at = clock()
        end = busy_at + grace
        while self._connections and clock() < min(end, busy_at + _QUIET_SECONDS):
            await asyncio.sleep(_LOOK_EVERY)
            if any(connection.busy for connection in self._connections):
                busy_at = clock()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    def seen(self) -> dict[str, Any]:
        """Tell of the connections, in the words that channelz has for them."""
        begun = self._calls_begun + sum(each.calls_begun for each in self._connections)
        sockets = [
            {"ref": {"name": each.peer.address}, "data": {"streamsStarted": str(each.calls_begun), "open": each.calls}}
            for each in self._connections
        ]
        return {"server": [{"data": {"callsStarted": str(begun)}, "socket": sockets, "allSocketsListed": True}]}


def bounds_of(settings: ServerSettings) -> StreamLimits:
    """Read what a call may take."""
    return StreamLimits(
        longest_message=settings.max_message_mib * _MEBIBYTE,
        window=settings.stream_window_kib * _KIBIBYTE,
        compress_from=settings.compression_threshold_kib * _KIBIBYTE if settings.compression == "gzip" else None,
    )


def terms_of(settings: ServerSettings) -> KeepaliveConfig:
    """Read what keeps a connection."""
    return KeepaliveConfig(
        keepalive=settings.keepalive_seconds,
        keepalive_timeout=settings.keepalive_timeout_seconds,
        ping=settings.min_ping_interval_seconds,
        age=settings.max_connection_age_seconds,
        grace=settings.max_connection_age_grace_seconds,
        idle=settings.max_connection_idle_seconds,
    )


def _shared(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    return bind_one(family, address, port, reuse_port=True)
