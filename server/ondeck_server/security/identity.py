"""The identity of a caller: the name in its client certificate, else the address of its connection."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

_IPV4_MAPPED: Final = "::ffff:"  # prefix of an IPv4 address on an IPv6 socket


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """The client of a connection: its address as gRPC writes it, and its identity ("": no client certificate)."""

    address: str
    identity: str


class Caller(Protocol):
    """The caller of an rpc."""

    @property
    def identity(self) -> str:
        """Identity from the client certificate; "" without one."""

    @property
    def peer(self) -> str:
        """Address as gRPC writes it, `ipv4:10.0.0.7:50512`."""


def caller_id(caller: Caller) -> str:
    """Return the identity, else the address without the port, which differs for each connection."""
    if caller.identity:
        return caller.identity
    kind, _, _ = caller.peer.partition(":")
    return caller.peer.rpartition(":")[0] if kind in {"ipv4", "ipv6"} else caller.peer


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    """Return the client of a connection."""
    address = transport.get_extra_info("peername") or ()
    return Peer(address=_format_address(address), identity=identity_of(transport.get_extra_info("peercert") or {}))


def identity_of(certificate: Mapping[str, Any]) -> str:
    """Return the first subject alternative name of a certificate, else its common name, else ""."""
    for _, name in certificate.get("subjectAltName", ()):
        return str(name)
    for part in certificate.get("subject", ()):
        for kind, value in part:
            if kind == "commonName":
                return str(value)
    return ""


def _format_address(address: tuple[Any, ...]) -> str:
    if not address:
        return "unknown:"
    host, port = str(address[0]).removeprefix(_IPV4_MAPPED), address[1]
    return f"ipv4:{host}:{port}" if ":" not in host else f"ipv6:%5B{host}%5D:{port}"
