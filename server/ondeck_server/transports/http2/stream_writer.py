"""What a stream needs of its connection, and the limits of streams."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from ondeck_server.security.identity import Peer
from ondeck_server.transports.http2.byte_accounts import ByteAccount
from ondeck_server.transports.http2.large_messages import LargeMessages
from ondeck_server.transports.http2.wire_format import Field


class StreamWriter(Protocol):
    """What a stream needs of its connection; `stream` is the stream id."""

    peer: Peer
    account: ByteAccount

    def send_headers(self, stream: int, fields: list[Field], *, end: bool = False) -> None:
        """Send the response headers."""

    def send_data(self, stream: int, data: bytes) -> None:
        """Send bytes as the flow control window permits."""

    def send_trailers(self, stream: int, fields: list[Field]) -> None:
        """Send the trailers, which end the stream."""

    def reset_unsent(self, stream: int) -> bool:
        """Reset a stream if response bytes wait for the caller to read; return whether they did."""

    def grant_window(self, stream: int, size: int) -> None:
        """Enlarge the caller's flow control window."""

    def queued_bytes(self, stream: int) -> int:
        """Return how many bytes of a stream wait for the caller to read."""

    def is_blocked(self, stream: int) -> bool:
        """Return whether too many bytes of the stream wait for the caller to read."""

    def wait_writable(self, stream: int) -> Awaitable[None]:
        """Return an awaitable that ends when the stream is no longer blocked."""


@dataclass(frozen=True, kw_only=True)
class StreamLimits:
    """Limits in bytes; `compression_threshold` is the smallest response that is compressed, None: none is.

    Large messages of all connections take turns.
    """

    max_message: int
    window: int
    compression_threshold: int | None
    large_messages: LargeMessages
