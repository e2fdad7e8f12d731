"""The port that all workers share: free when the server starts, and held for it until it ends."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from ondeck_server.addresses import NOT_HERE, CannotListenError, address_of, addresses, bound

_CHOICE: Final = "ONDECK_PORT or --port"


@contextmanager
def held_port(host: str, port: int) -> Iterator[int]:
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
    held: list[int] = []
    refused: OSError | None = None
    for family, address in addresses(host):
        try:
            held.append(_hold_one(stack, family, address, held[0] if held else port))
        except OSError as failed:
            if failed.errno not in NOT_HERE:
                raise
            refused = failed
    if not held:
        raise refused or OSError(errno.EADDRNOTAVAIL, "no address")
    return held[0]


def _hold_one(stack: ExitStack, family: socket.AddressFamily, address: str, port: int) -> int:
    if port:
        _probe(family, address, port)
    held = stack.enter_context(bound(family, address, port, reuse_port=True))
    return int(held.getsockname()[1])


def _probe(family: socket.AddressFamily, address: str, port: int) -> None:
    """Listen for a moment, sharing with nobody: with SO_REUSEPORT a server of the same user would be joined."""
    with bound(family, address, port, reuse_port=False) as probe:
        probe.listen()
