"""The interface of a transport: it accepts calls on a port and runs their handlers."""

from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

from google.protobuf.descriptor import ServiceDescriptor

Services: TypeAlias = Iterable[tuple[ServiceDescriptor, object]]  # each with its handlers


class Transport(Protocol):
    """Serves calls on one port."""

    async def listen(self, port: int) -> int:
        """Listen on a port, which other processes may share, and return it; 0: any free port.

        Raises:
            CannotListenError: the port is in use, or the host is not an address of this machine.
            InvalidCertificatesError: a certificate file is missing or invalid.
        """

    def stop_accepting(self) -> None:
        """Close the listening sockets; open connections end by GOAWAY or at their maximum age."""

    def has_connections(self) -> bool:
        """Return whether a client is connected."""

    async def stop(self, grace: float) -> None:
        """Stop accepting, wait up to `grace` seconds for open calls, and end the rest."""

    def channelz_snapshot(self) -> dict[str, Any]:
        """Return servers and sockets in the JSON form of channelz."""
