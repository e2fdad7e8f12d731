"""Where the server listens, in words, and what is said when it cannot."""

import errno
import socket
from collections.abc import Callable
from typing import Final

from ondeck_core.errors import OndeckError

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)  # what binding fails with where an address is not ours


class CannotListenError(OndeckError):
    """Something else listens where the server should, or the address is none of this machine."""

    def __init__(self, where: str, choice: str, reason: str | None = None) -> None:
        told = f" ({reason})" if reason else ""
        super().__init__(
            f"cannot listen on {where}{told}; choose another port with {choice}, "
            "or an address of this machine with ONDECK_HOST or --host"
        )


def address_of(host: str, port: int) -> str:
    """Write a host and a port as one address; IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def resolve_host(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """List the addresses that a host has.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def bind_all(
    host: str, port: int, bind: Callable[[socket.AddressFamily, str, int], socket.socket]
) -> list[socket.socket]:
    """Bind every address of a host that this machine has to one port, 0: any that is free.

    Raises:
        OSError: one of them cannot be bound, or there is none.
    """
    found: list[socket.socket] = []
    refused = OSError(errno.EADDRNOTAVAIL, "no address")
    for family, address in resolve_host(host):
        try:
            found.append(bind(family, address, port))
        except OSError as failed:
            if failed.errno not in _NOT_HERE:
                raise
            refused = failed
        else:
            port = int(found[0].getsockname()[1])
    if not found:
        raise refused
    return found


def bind_one(family: socket.AddressFamily, address: str, port: int, *, reuse_port: bool) -> socket.socket:
    """Bind a socket; with `reuse_port` others may be bound beside it.

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
