"""Which server a person means, and how the connection to it is secured."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

TARGET: Final = {"--target": "Server to ask, as host:port (ONDECK_HOST, ONDECK_PORT)."}
SECURITY: Final = {
    "--ca": "Authorities that may sign the server's certificate, PEM; the connection is then secured.",
    "--certificate": "Certificate to show to a server that asks for one, PEM.",
    "--key": "Its private key, PEM.",
}
_PATH: Final = click.Path(path_type=Path)


@dataclass(frozen=True, kw_only=True)
class ServerAddress:
    """A server; `target` None: as ONDECK_HOST and ONDECK_PORT say. Without files the connection is not secured."""

    target: str | None
    ca: Path | None
    certificate: Path | None
    key: Path | None


def server_options() -> list[click.Option]:
    """Make the options that name a server."""
    named = [click.Option([name], help=text) for name, text in TARGET.items()]
    return named + [click.Option([name], type=_PATH, help=text) for name, text in SECURITY.items()]


def secured(command: Callable[..., Any]) -> Callable[..., Any]:
    """Have a command know how its connection is secured: options --ca, --certificate, --key."""
    for name, text in reversed(SECURITY.items()):
        command = click.option(name, type=_PATH, help=text)(command)
    return command


def server_of(target: str | None, given: dict[str, Any]) -> ServerAddress:
    """Read the values of the options."""
    return ServerAddress(target=target, ca=given["ca"], certificate=given["certificate"], key=given["key"])
