"""What the server refuses of its clients: why, the answer in the client's protocol, one log line, and a counter."""

import asyncio
import struct
import time
from collections import Counter as Counts
from enum import StrEnum
from typing import Final

import structlog

from ondeck_runtime.metrics import CounterFamily
from ondeck_server.rpc.method import CallMetrics, MethodMetrics
from ondeck_server.security.identity import Peer

REFUSALS: Final = CounterFamily(
    "ondeck_http2_refusals",
    "requests and connections that the transport nghttp2 refused; [Attacks](attacks.md) names the reasons",
    ("reason",),
)
ALPN_PROTOCOL: Final = "h2"
_SETTINGS: Final = b"\0\0\0\4\0\0\0\0\0"  # an empty frame: the first one that a server sends
_GOAWAY: Final = struct.Struct(">HBBBIII")  # length (upper and lower bits), type, flags, stream, last stream, code
_GOAWAY_TYPE: Final = 7
_LAST_STREAM: Final = (1 << 31) - 1  # any stream may have been processed
_WAIT_SECONDS: Final = 5.0  # for the first bytes of a client that has not negotiated HTTP/2, and for it to close
_LOG_SECONDS: Final = 10.0  # between two lines about the same limit
_HTTP1_METHODS: Final = tuple(
    f"{method} ".encode() for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
_HTTP1_BODY: Final = b"This port serves gRPC, which requires HTTP/2.\n"
_HTTP1_RESPONSE: Final = (
    b"HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(_HTTP1_BODY), _HTTP1_BODY)
)

log = structlog.get_logger()


class RefusalReason(StrEnum):
    """Why the server refused a request or ended a connection; the label of the counter."""

    HTTP1 = "http1"
    NOT_HTTP2 = "not_http2"
    NO_ALPN = "no_alpn"
    PROTOCOL_ERROR = "protocol_error"
    FLOOD = "flood"
    TOO_MANY_PINGS = "too_many_pings"
    TOO_MANY_CONTROL_FRAMES = "too_many_control_frames"
    TOO_MANY_RESETS = "too_many_resets"
    SLOW_REQUEST = "slow_request"
    NO_PING_ACKNOWLEDGEMENT = "no_ping_acknowledgement"
    NOT_GRPC = "not_grpc"
    METADATA_TOO_LARGE = "metadata_too_large"
    MALFORMED_TIMEOUT = "malformed_timeout"
    UNKNOWN_METHOD = "unknown_method"
    CONNECTIONS = "connections"
    ADDRESS_CONNECTIONS = "address_connections"
    CALLS = "calls"
    ADDRESS_CALLS = "address_calls"
    CONNECTION_BYTES = "connection_bytes"
    ADDRESS_BYTES = "address_bytes"
    WORKER_BYTES = "worker_bytes"
    SLOW_MESSAGE = "slow_message"


class Refusals:
    """Counts and logs refused requests and ended connections by reason."""

    def __init__(self, metrics: CallMetrics) -> None:
        self._other = metrics.other
        self._since_line: Counts[RefusalReason] = Counts()
        self._next_line: dict[RefusalReason, float] = {}
        self._counters = {reason: metrics.block.counter(REFUSALS, reason.value) for reason in RefusalReason}

    def count(self, reason: RefusalReason) -> None:
        """Count a refused request."""
        self._counters[reason].inc()

    def log_limit(self, peer: Peer, reason: RefusalReason) -> None:
        """Count a call or connection beyond a limit; log one line for each limit from time to time."""
        self.count(reason)
        if times := self._times_to_log(reason):
            log.warning("limit_exceeded", limit=reason.value, peer=peer.address, times=times)

    def log_call(self, peer: Peer, reason: RefusalReason, method: MethodMetrics | None, code: int) -> None:
        """Count a call that is refused because of its headers; log one line for each reason from time to time."""
        self.count(reason)
        (method or self._other).refuse(code)
        if times := self._times_to_log(reason):
            log.warning("call_refused", reason=reason.value, peer=peer.address, times=times)

    def _times_to_log(self, reason: RefusalReason) -> int:
        """Return how often a reason was counted since its last line; 0: it has had its line."""
        self._since_line[reason] += 1
        now = time.monotonic()
        if now < self._next_line.get(reason, 0):
            return 0
        self._next_line[reason] = now + _LOG_SECONDS
        return self._since_line.pop(reason)

    def log_connection(self, peer: Peer, reason: RefusalReason, text: str) -> None:
        """Log and count that the server ends a connection because of what its client sent."""
        self.count(reason)
        log.warning("connection_rejected", peer=peer.address, reason=text)


def goaway(code: int) -> bytes:
    """Return a GOAWAY frame; for connections on which nghttp2 no longer writes."""
    return _GOAWAY.pack(0, 8, _GOAWAY_TYPE, 0, 0, _LAST_STREAM, code)


def reject_first(received: bytes, code: int) -> bytes:
    """Return the answer to a connection whose first bytes are not accepted: 505 to HTTP/1, else GOAWAY."""
    return _HTTP1_RESPONSE if received.startswith(_HTTP1_METHODS) else _SETTINGS + goaway(code)


def reason_of_first(received: bytes) -> RefusalReason:
    """Return why the first bytes of a connection are not accepted."""
    return RefusalReason.HTTP1 if received.startswith(_HTTP1_METHODS) else RefusalReason.NOT_HTTP2


def negotiated(transport: asyncio.BaseTransport) -> bool:
    """Return whether TLS has negotiated HTTP/2; without TLS the first bytes of the client show the protocol."""
    tls = transport.get_extra_info("ssl_object")
    return tls is None or tls.selected_alpn_protocol() == ALPN_PROTOCOL


class RefusedConnection(asyncio.Protocol):
    """A connection that carries no calls: answers its first bytes with an error code and closes."""

    def __init__(self, transport: asyncio.Transport, code: int) -> None:
        self._transport = transport
        self._code = code
        self._is_answered = False
        self._timer = asyncio.get_running_loop().call_later(_WAIT_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Answer the first bytes and ignore the others: to close at once would discard the answer."""
        if not self._is_answered:
            self._is_answered = True
            self._transport.write(reject_first(data, self._code))

    def connection_lost(self, _: Exception | None) -> None:
        """Stop the timer."""
        self._timer.cancel()
