"""Who is at the other end of a connection."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from ondeck_server.transports.http2.context import Peer

_MAPPED: Final = "::ffff:"  # an address of IPv4 that came in where IPv6 is listened for


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Read address and identity off a connection."""
    address = transport.get_extra_info("peername") or ()
    return Peer(address=_written(address), identity=identity_of(transport.get_extra_info("peercert") or {}))


def identity_of(certificate: Mapping[str, Any]) -> str:
    """Tell who a certificate says its holder is: its first alternative name, else its common name, else ""."""
    for _, name in certificate.get("subjectAltName", ()):
        return str(name)
    for part in certificate.get("subject", ()):
        for kind, value in part:
            if kind == "commonName":
                return str(value)
    return ""


def _written(address: tuple[Any, ...]) -> str:
    if not address:
        return "unknown:"
    host, port = str(address[0]).removeprefix(_MAPPED), address[1]
    return f"ipv4:{host}:{port}" if ":" not in host else f"ipv6:%5B{host}%5D:{port}"
