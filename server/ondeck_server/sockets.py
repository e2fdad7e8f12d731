"""Listening sockets: resolve a host, bind its addresses to one port, reserve a port, raise the limit of open files."""

import errno
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from ondeck_core.errors import OndeckError

_NOT_LOCAL: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # errors of bind for an address of another machine
_PORT_SETTING: Final = "ONDECK_PORT or --port"


class CannotListenError(OndeckError):
    """The port is in use, or the address is none of this machine."""

    def __init__(self, address: str, setting: str, reason: str | None = None) -> None:
        cause = f" ({reason})" if reason else ""
        super().__init__(
            f"cannot listen on {address}{cause}; choose another port with {setting}, "
            "or an address of this machine with ONDECK_HOST or --host"
        )


def address_of(host: str, port: int) -> str:
    """Format a host and a port as one address, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve_host(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """List the addresses of a host.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(address[0])) for family, _, _, _, address in found))


def bind_all(
    host: str, port: int, bind: Callable[[socket.AddressFamily, str, int], socket.socket]
) -> list[socket.socket]:
    """Bind every local address of a host to one port, 0: any free port; the first socket has the chosen port.

    Raises:
        OSError: an address cannot be bound, or none is local.
    """
    found: list[socket.socket] = []
    refused = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, address in resolve_host(host):
        try:
            found.append(bind(family, address, port))
        except OSError as failed:
            if failed.errno not in _NOT_LOCAL:
                raise
            refused = failed
        else:
            port = int(found[0].getsockname()[1])
    if not found:
        raise refused
    return found


def bind_one(family: socket.AddressFamily, address: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Bind a socket; with `reuse_port` other sockets can share the port.

    Raises:
        OSError: it cannot be bound.
    """
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


@contextmanager
def reserve_port(host: str, port: int) -> Iterator[int]:
    """Reserve a port within the block, 0: any free one, so that workers can listen on it with SO_REUSEPORT.

    Raises:
        CannotListenError: the port is in use, or the host is no address of this machine.
    """
    with ExitStack() as stack:

        def reserve(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
            if port:  # with SO_REUSEPORT this server would join another one of the same user: try without it first
                with bind_one(family, address, port, reuse_port=False) as exclusive:
                    exclusive.listen()
            return stack.enter_context(bind_one(family, address, port, reuse_port=True))

        try:
            reserved = int(bind_all(host, port, reserve)[0].getsockname()[1])
        except OSError as failed:
            raise CannotListenError(address_of(host, port), _PORT_SETTING) from failed
        yield reserved


def raise_descriptor_limit() -> None:
    """Raise the soft limit of open files to the hard limit; processes started later inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return  # the soft limit stays
