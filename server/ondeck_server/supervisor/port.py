"""The port that all workers share: free when the server starts, and held for it until it ends."""

import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from ondeck_server.addresses import CannotListenError, address_of, addresses

_CHOICE: Final = "ONDECK_PORT or --port"
_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


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
            if failed.errno not in _NOT_HERE:
                raise
            refused = failed
    if not held:
        raise refused or OSError(errno.EADDRNOTAVAIL, "no address")
    return held[0]


def _hold_one(stack: ExitStack, family: socket.AddressFamily, address: str, port: int) -> int:
    if port:
        _probe(family, address, port)
    bound = stack.enter_context(_bound(family, address, port, reuse_port=True))
    return int(bound.getsockname()[1])


def _probe(family: socket.AddressFamily, address: str, port: int) -> None:
    """Listen for a moment, sharing with nobody: with SO_REUSEPORT a server of the same user would be joined."""
    with _bound(family, address, port, reuse_port=False) as probe:
        probe.listen()


def _bound(family: socket.AddressFamily, address: str, port: int, *, reuse_port: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened
