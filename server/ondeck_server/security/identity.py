"""Who calls: what a mutual TLS handshake has shown, else the address that the call comes from."""

from typing import Protocol


class Caller(Protocol):
    """Whoever has an identity (empty: none was shown) and an address as gRPC writes it, `ipv4:10.0.0.7:50512`."""

    @property
    def identity(self) -> str:
        """Whom the handshake has shown."""

    @property
    def peer(self) -> str:
        """Where the call comes from."""


def caller_id(caller: Caller) -> str:
    """Name a caller: by identity, else by address without the port, which is another for each connection."""
    return caller.identity or _without_port(caller.peer)


def _without_port(peer: str) -> str:
    kind, _, _ = peer.partition(":")
    return peer.rpartition(":")[0] if kind in {"ipv4", "ipv6"} else peer
