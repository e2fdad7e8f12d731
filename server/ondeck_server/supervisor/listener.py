"""The port that all workers share: free when the server starts, and held for it until it ends."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from ondeck_server.sockets import CannotListenError, address_of, bind_all, bind_one

_CHOICE: Final = "ONDECK_PORT or --port"


@contextmanager
def reserve_port(host: str, port: int) -> Iterator[int]:
    """Hold a port for as long as the block, 0: any free one, so that workers can listen on it with SO_REUSEPORT.

    Raises:
        CannotListenError: somebody listens there, or the host is none of this machine.
    """
    with ExitStack() as stack:
        try:
            held = _hold(stack, host, port)
        except OSError as failed:
            raise CannotListenError(address_of(host, port), _CHOICE) from failed
        yield held


def _hold(stack: ExitStack, host: str, port: int) -> int:
    def hold(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
        if port:
            _probe(family, address, port)
        return stack.enter_context(bind_one(family, address, port, reuse_port=True))

    return int(bind_all(host, port, hold)[0].getsockname()[1])


def _probe(family: socket.AddressFamily, address: str, port: int) -> None:
    """Listen for a moment, sharing with nobody: with SO_REUSEPORT a server of the same user would be joined."""
    with bind_one(family, address, port, reuse_port=False) as probe:
        probe.listen()
