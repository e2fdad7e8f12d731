"""Where the server listens, in words, and what is said when it cannot."""

import socket

from ondeck_core.errors import OndeckError


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


def addresses(host: str) -> list[tuple[socket.AddressFamily, str]]:
    """List the addresses that a host has.

    Raises:
        OSError: it has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))
