"""Where the server listens, and what it says when it cannot."""

from ondeck_core.errors import OndeckError


class CannotListenError(OndeckError):
    """Something else listens where the server should, or the address is none of this machine."""


def cannot_listen(where: str, reason: str, choice: str) -> CannotListenError:
    """Say that nobody can listen there; `choice` names the settings that choose another port."""
    return CannotListenError(
        f"cannot listen on {where}{reason}; choose another port with {choice}, "
        "or an address of this machine with ONDECK_HOST or --host"
    )


def address_of(host: str, port: int) -> str:
    """Write a host and a port as one address; IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
