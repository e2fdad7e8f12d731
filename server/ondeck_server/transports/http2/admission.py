"""Limits of connections and calls, in all and for each address, and those of one HTTP/2 session."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import ngh2
from google.rpc import code_pb2

from ondeck_server.rpc.method import MethodMetrics
from ondeck_server.security.identity import Peer
from ondeck_server.transports.http2.byte_accounts import ByteAccount, SharedAccount
from ondeck_server.transports.http2.rejection import RefusalReason, Refusals
from ondeck_server.transports.http2.wire_format import MAX_METADATA_BYTES

_MAX_HEADER_BYTES: Final = 1 << 16  # decoded; beyond it the connection ends
_MAX_FRAME_BYTES: Final = 1 << 16
_CONNECTION_WINDOW: Final = (1 << 31) - 1  # unlimited: each stream has its own window
_RESET_RATE_LIMIT: Final = (10_000, 1_000)  # burst, and resets a second; beyond it the connection ends


@dataclass(frozen=True, kw_only=True)
class AdmissionLimits:
    """Limits of a worker; bytes are those of messages that it holds."""

    connections: int
    connections_per_address: int
    calls: int
    calls_per_address: int
    bytes: int
    bytes_per_address: int
    bytes_per_connection: int


@dataclass(kw_only=True, slots=True)
class Usage:
    """What one address uses, or all do: connections, open calls, bytes. Connections change `calls` themselves."""

    max_connections: int
    max_calls: int
    bytes: SharedAccount
    connections: int = 0
    calls: int = 0


class Admission:
    """Admits connections to a worker."""

    def __init__(self, limits: AdmissionLimits, refusals: Refusals) -> None:
        self.total = Usage(
            max_connections=limits.connections,
            max_calls=limits.calls,
            bytes=SharedAccount(RefusalReason.WORKER_BYTES, limits.bytes),
        )
        self.refusals = refusals
        self._limits = limits
        self._addresses: dict[str, Usage] = {}

    def admit(self, peer: Peer) -> Usage | None:
        """Count a connection and return what its address uses; None: one more would exceed a limit."""
        address, limits = _host(peer), self._limits
        usage = self._addresses.get(address) or Usage(
            max_connections=limits.connections_per_address,
            max_calls=limits.calls_per_address,
            bytes=SharedAccount(RefusalReason.ADDRESS_BYTES, limits.bytes_per_address),
        )
        for reason, each in (
            (RefusalReason.CONNECTIONS, self.total),
            (RefusalReason.ADDRESS_CONNECTIONS, usage),
        ):
            if each.connections >= each.max_connections:
                self.refusals.log_limit(peer, reason)
                return None
        self._addresses[address] = usage
        self.total.connections += 1
        usage.connections += 1
        return usage

    def count_refused_call(self, usage: Usage, peer: Peer, method: MethodMetrics) -> None:
        """Count a call beyond the limit of an address or of all; REFUSED_STREAM is UNAVAILABLE to its client."""
        method.refuse(code_pb2.UNAVAILABLE)
        is_address_full = usage.calls >= usage.max_calls
        self.refusals.log_limit(peer, RefusalReason.ADDRESS_CALLS if is_address_full else RefusalReason.CALLS)

    def leave(self, peer: Peer) -> None:
        """Forget a connection that was admitted."""
        address = _host(peer)
        usage = self._addresses[address]
        self.total.connections -= 1
        usage.connections -= 1
        if not usage.connections:
            del self._addresses[address]

    def account(self, usage: Usage, peer: Peer, end: Callable[[RefusalReason], None]) -> ByteAccount:
        """Return the account of a new connection; `end` ends it."""
        return ByteAccount(self._limits.bytes_per_connection, (usage.bytes, self.total.bytes), self.refusals, peer, end)


def _host(peer: Peer) -> str:
    return peer.address.rpartition(":")[0]


def create_session() -> ngh2.Connection:
    """Return the session of a new connection."""
    return ngh2.Connection(
        ngh2.Role.SERVER,
        ngh2.Configuration(
            auto_window_update=False,
            max_inbound_header_list_size=_MAX_HEADER_BYTES,
            stream_reset_rate_limit=_RESET_RATE_LIMIT,
        ),
    )


def initiate(http: ngh2.Connection, max_concurrent_streams: int, window: int) -> None:
    """Prepare the settings frame; `window` is that of each stream."""
    http.initiate_connection(
        {
            ngh2.Setting.MAX_CONCURRENT_STREAMS: max_concurrent_streams,
            ngh2.Setting.INITIAL_WINDOW_SIZE: window,
            ngh2.Setting.MAX_FRAME_SIZE: _MAX_FRAME_BYTES,
            ngh2.Setting.MAX_HEADER_LIST_SIZE: MAX_METADATA_BYTES,
        }
    )
    http.set_local_window_size(_CONNECTION_WINDOW)
