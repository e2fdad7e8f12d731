"""The HTTP/2 server: its listening sockets, its connections and what they share."""

import asyncio
import socket
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ondeck_server.rpc.method import CallMetrics, Method
from ondeck_server.security.identity import peer_of
from ondeck_server.security.tls import CertificateReloader, certificate_files, create_ssl_context
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import CannotListenError, address_of, bind_all, bind_one
from ondeck_server.transports.http2.admission import Admission, AdmissionLimits
from ondeck_server.transports.http2.connection import Http2Connection
from ondeck_server.transports.http2.keepalive import KeepaliveConfig
from ondeck_server.transports.http2.large_messages import LargeMessages
from ondeck_server.transports.http2.rejection import ALPN_PROTOCOL, Refusals
from ondeck_server.transports.http2.stream_writer import StreamLimits

_KIBIBYTE: Final = 1 << 10
_MEBIBYTE: Final = 1 << 20
_BACKLOG: Final = 1024  # connections that the kernel queues
_POLL_SECONDS: Final = 0.02
_IDLE_SECONDS: Final = 1.0  # stop() waits no longer for connections without calls


class Http2Server:
    """Serves methods on a port that other processes may share."""

    def __init__(self, methods: Iterable[Method], settings: ServerSettings, metrics: CallMetrics) -> None:
        self.methods: Mapping[bytes, Method] = {method.name.encode(): method for method in methods}
        self.limits = _stream_limits(settings)
        self.refusals = Refusals(metrics)
        self.admission = Admission(_admission_limits(settings), self.refusals)
        self.keepalive = _keepalive_config(settings)
        self.max_concurrent_streams = settings.max_concurrent_streams
        self._settings = settings
        self._connections: set[Http2Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._calls_started = 0  # on connections that are closed
        self._is_stopping = False

    async def listen(self, port: int) -> int:
        """Listen on a port of every address of the settings' host and return it; 0: any free port.

        Raises:
            CannotListenError: the port is in use, or the host is not an address of this machine.
            InvalidCertificatesError: a certificate file is missing or invalid.
        """
        files, host = certificate_files(self._settings), self._settings.host
        context = None if files is None else create_ssl_context(CertificateReloader(files), (ALPN_PROTOCOL,))
        handshake = None if files is None else self._settings.request_timeout_seconds
        loop = asyncio.get_running_loop()
        try:
            for bound in bind_all(host, port, _bind_shared):
                port = int(bound.getsockname()[1])
                listener = await loop.create_server(
                    lambda: Http2Connection(self, peer_of),
                    sock=bound,
                    ssl=context,
                    backlog=_BACKLOG,
                    ssl_handshake_timeout=handshake,
                )
                self._listeners.append(listener)
        except OSError as error:
            raise CannotListenError(address_of(host, port), "ONDECK_PORT or --port") from error
        return port

    def opened(self, connection: Http2Connection) -> None:
        """Register a new connection; one whose TLS handshake ends after `stop_accepting` is asked to leave."""
        self._connections.add(connection)
        if self._is_stopping:
            connection.lifecycle.begin_goaway()

    def closed(self, connection: Http2Connection) -> None:
        """Unregister a connection."""
        self._connections.discard(connection)
        self._calls_started += connection.calls_started

    def stop_accepting(self) -> None:
        """Close the listening sockets and send GOAWAY on every connection."""
        self._is_stopping = True
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.lifecycle.begin_goaway()

    def has_connections(self) -> bool:
        """Return whether a client is connected."""
        return bool(self._connections)

    async def stop(self, grace: float) -> None:
        """Stop accepting, wait up to `grace` seconds for open calls, and end the rest."""
        self.stop_accepting()
        clock = asyncio.get_running_loop().time
        busy_at = clock()
        end = busy_at + grace
        while self._connections and clock() < min(end, busy_at + _IDLE_SECONDS):
            await asyncio.sleep(_POLL_SECONDS)
            if any(connection.is_busy for connection in self._connections):
                busy_at = clock()
        for connection in list(self._connections):
            connection.close()
        await asyncio.sleep(0)

    def channelz_snapshot(self) -> dict[str, Any]:
        """Return servers and sockets in the JSON form of channelz."""
        started = self._calls_started + sum(each.calls_started for each in self._connections)
        sockets = [
            {
                "ref": {"name": each.peer.address},
                "data": {"streamsStarted": str(each.calls_started), "open": each.calls},
            }
            for each in self._connections
        ]
        return {"server": [{"data": {"callsStarted": str(started)}, "socket": sockets, "allSocketsListed": True}]}


def _stream_limits(settings: ServerSettings) -> StreamLimits:
    threshold = settings.compression_threshold_kib * _KIBIBYTE
    return StreamLimits(
        max_message=settings.max_message_mib * _MEBIBYTE,
        window=settings.stream_window_kib * _KIBIBYTE,
        compression_threshold=threshold if settings.compression == "gzip" else None,
        large_messages=LargeMessages(settings.max_large_messages_mib * _MEBIBYTE),
    )


def _admission_limits(settings: ServerSettings) -> AdmissionLimits:
    """Return the limits of a worker; each allows one message in both directions, even the largest."""
    least = 2 * settings.max_message_mib
    return AdmissionLimits(
        connections=settings.max_connections,
        connections_per_address=settings.max_connections_per_address,
        calls=settings.max_calls,
        calls_per_address=settings.max_calls_per_address,
        bytes=max(settings.max_buffered_mib, least) * _MEBIBYTE,
        bytes_per_address=max(settings.max_buffered_mib_per_address, least) * _MEBIBYTE,
        bytes_per_connection=max(settings.max_buffered_mib_per_connection, least) * _MEBIBYTE,
    )


def _keepalive_config(settings: ServerSettings) -> KeepaliveConfig:
    return KeepaliveConfig(
        ping_after=settings.keepalive_seconds,
        ping_timeout=settings.keepalive_timeout_seconds,
        min_ping_interval=settings.min_ping_interval_seconds,
        max_age=settings.max_connection_age_seconds,
        max_age_grace=settings.max_connection_age_grace_seconds,
        max_idle=settings.max_connection_idle_seconds,
        request_timeout=settings.request_timeout_seconds,
    )


def _bind_shared(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    return bind_one(family, address, port, reuse_port=True)
