"""What a handler sees of a call, independent of its transport."""

from collections.abc import Mapping
from typing import Protocol


class CallContext(Protocol):
    """One call."""

    @property
    def method(self) -> str:
        """Full method name, `/package.Service/Method`."""

    @property
    def correlation_id(self) -> str:
        """Id of this call in logs and trailers: the caller's own if it sent one, else a new one."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Text metadata of the request."""

    @property
    def peer(self) -> str:
        """Address of the caller, for example `ipv4:127.0.0.1:50000`."""

    @property
    def identity(self) -> str:
        """Identity from the caller's client certificate; "" without one."""

    def time_left(self) -> float | None:
        """Return the seconds until the deadline; None: no deadline."""

    def hold(self, size: int) -> None:
        """Charge bytes of requests that are processed to the connection, until the call ends or `release`.

        Raises:
            BufferFullError: the connection or the worker holds too many.
        """

    def release(self, size: int) -> None:
        """Return bytes that were charged."""

    def cancelled(self) -> bool:
        """Return whether the caller has cancelled the call or disconnected."""
