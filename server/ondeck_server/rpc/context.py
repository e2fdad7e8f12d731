"""A call as a handler sees it: whatever carries it, it knows no more than this."""

from collections.abc import Mapping
from typing import Protocol


class CallContext(Protocol):
    """One call."""

    @property
    def method(self) -> str:
        """Full name of the rpc, as `/package.Service/Rpc`."""

    @property
    def correlation_id(self) -> str:
        """What the log and the caller know this call by; the caller's own where he gave one."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """The caller's text headers."""

    @property
    def peer(self) -> str:
        """Where the caller is, for example `ipv4:127.0.0.1:50000`."""

    @property
    def identity(self) -> str:
        """Who the caller has proved to be; "" where nobody asked him to."""

    def time_left(self) -> float | None:
        """Seconds that the caller still waits; None: no deadline."""

    def cancelled(self) -> bool:
        """Tell whether the caller has gone away."""
