"""A call that came over HTTP/2, as `ondeck_server.rpc.context.CallContext` describes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ondeck_server.rpc import correlation
from ondeck_server.transports.http2.headers import Field, RequestHeaders, metadata_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """The other end of a connection, and who it has proved to be."""

    address: str
    identity: str


class Http2CallContext:
    """One call; its time runs by `clock`, from now."""

    def __init__(
        self, method: str, peer: Peer, head: RequestHeaders, fields: Sequence[Field], clock: Callable[[], float]
    ) -> None:
        self.method = method
        self.gone = False
        self._peer = peer
        self.head = head
        self._fields = fields
        self._deadline = None if head.timeout is None else clock() + head.timeout
        self._clock = clock

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """The caller's text headers."""
        return dict(metadata_of(self._fields))

    @cached_property
    def given_id(self) -> str:
        """The caller's own correlation id; "" where he gave none that can be used."""
        given = self.head.correlation.decode("utf-8", "replace")
        return given if correlation.fits(given) else ""

    @cached_property
    def correlation_id(self) -> str:
        """What the log and the caller know this call by."""
        return self.given_id or correlation.new()

    @property
    def peer(self) -> str:
        """Where the caller is."""
        return self._peer.address

    @property
    def identity(self) -> str:
        """Who the caller's certificate says he is."""
        return self._peer.identity

    def time_left(self) -> float | None:
        """Seconds that the caller still waits."""
        return None if self._deadline is None else max(self._deadline - self._clock(), 0.0)

    def cancelled(self) -> bool:
        """Tell whether the caller has gone away."""
        return self.gone
