"""Ask a running server, and tell a person in words why it would not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from ondeck_cli.server_options import ServerAddress
from ondeck_client import Client, ErrorReason, correlation_id_of, reason_of, tls, violations_of
from ondeck_core.errors import OndeckError
from ondeck_server.settings import ServerSettings
from ondeck_store.settings import read_settings

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not listened on


class ServerCallError(OndeckError):
    """The server could not be asked, or would not answer."""


@contextmanager
def asking(server: ServerAddress) -> Iterator[Client]:
    """Connect to a server for as long as the block.

    Raises:
        ServerCallError: whatever gRPC error the block meets, in words.
    """
    where = server.target or default_target(read_settings(ServerSettings))
    with Client(where, credentials=credentials_for(server), health=None) as client:  # who asks wants to hear why not
        try:
            yield client
        except grpc.RpcError as failed:
            raise ServerCallError(in_words(failed, where)) from failed


def credentials_for(server: ServerAddress) -> grpc.ChannelCredentials | None:
    """Make what secures the connection; None: nothing does.

    Raises:
        ServerCallError: a file cannot be read, or one is missing that another needs.
    """
    if server.ca is None and server.certificate is None and server.key is None:
        return None
    try:
        return tls(server.ca, server.certificate, server.key)
    except (OSError, ValueError) as failed:
        raise ServerCallError(f"the connection cannot be secured: {failed}") from failed


def default_target(settings: ServerSettings) -> str:
    """Tell where a server with these settings is asked; one that listens on every address, on this machine."""
    host = _EVERY_ADDRESS.get(settings.host, settings.host)
    return f"[{host}]:{settings.port}" if ":" in host else f"{host}:{settings.port}"


def in_words(failed: Any, where: str) -> str:  # noqa: ANN401  an RpcError that is a Call too
    """Say what a person should know, and could do, about an error."""
    if lines := [f"{as_option(each.field)} {each.description}" for each in violations_of(failed)]:
        return "\n".join(lines)
    match reason_of(failed), failed.code():
        case ErrorReason.ERROR_REASON_INTERNAL, _:
            return f"{failed.details()} ({correlation_id_of(failed)})"
        case ErrorReason.ERROR_REASON_UNSPECIFIED, grpc.StatusCode.UNAVAILABLE:
            return f"no Ondeck server answers at {where}; start one with: ondeck up"
        case ErrorReason.ERROR_REASON_UNSPECIFIED, grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"the server at {where} did not answer in time"
        case ErrorReason.ERROR_REASON_UNSPECIFIED, code:
            return f"{where} answered {code.name}: {failed.details()}"
    return str(failed.details())


def as_option(path: str) -> str:
    """Name the option that a field of a request came from: `pitch.plate_x` is `--plate-x`."""
    return "--" + path.rpartition(".")[2].replace("_", "-")
