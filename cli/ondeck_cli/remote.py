"""Connect to a running server: the options that name it, its TLS files, and readable errors of failed calls."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import grpc
import structlog
from pydantic import Field

from ondeck_cli.connection_faults import describe_fault
from ondeck_client import (
    Client,
    ErrorReason,
    Prediction,
    correlated,
    correlation_id_of,
    reason_of,
    tls,
    violations_of,
)
from ondeck_core.errors import OndeckError
from ondeck_runtime.correlation import current_correlation_id
from ondeck_runtime.settings import ProgramSettings, read_settings

TARGET: Final = {"--target": "Server address, as host:port; default: ONDECK_HOST and ONDECK_PORT."}
TLS: Final = {
    "--ca": "CA certificates that verify the server, PEM; the connection then uses TLS.",
    "--certificate": "Client certificate, for a server that requires one, PEM.",
    "--key": "Private key of the client certificate, PEM.",
}
log = structlog.get_logger()

_PATH: Final = click.Path(path_type=Path)
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared with, not bound


class ServerCallError(OndeckError):
    """A call to a server failed, or the connection could not be set up."""


class TargetSettings(ProgramSettings):
    """Address of the server that commands call by default: the settings and defaults of its listener."""

    host: str = Field(default="127.0.0.1", pattern=r"^\S+$", description="address that the server listens on")
    port: int = Field(default=50051, ge=0, le=65535, description="gRPC port")


@dataclass(frozen=True, kw_only=True)
class ServerAddress:
    """A server; `target` None: the one of ONDECK_HOST and ONDECK_PORT. Without files the connection is plaintext."""

    target: str | None
    ca: Path | None
    certificate: Path | None
    key: Path | None

    @property
    def is_tls(self) -> bool:
        """Whether the connection uses TLS."""
        return not (self.ca is None and self.certificate is None and self.key is None)


def server_options() -> list[click.Option]:
    """Return the options that name a server."""
    named = [click.Option([name], help=text) for name, text in TARGET.items()]
    return named + [click.Option([name], type=_PATH, help=text) for name, text in TLS.items()]


def tls_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options --ca, --certificate and --key to a command."""
    for name, text in reversed(TLS.items()):
        command = click.option(name, type=_PATH, help=text)(command)
    return command


def server_of(target: str | None, options: dict[str, Any]) -> ServerAddress:
    """Return the server that the options name."""
    return ServerAddress(target=target, ca=options["ca"], certificate=options["certificate"], key=options["key"])


@contextmanager
def connect(server: ServerAddress) -> Iterator[Client]:
    """Connect to a server for the block.

    Raises:
        ServerCallError: a call in the block failed, or the TLS files are unusable.
    """
    target = server.target or default_target()
    # Health is not checked: the error of an unhealthy server explains more than "no healthy replica".
    client = Client(target, credentials=credentials_for(server), health=None)
    with client, correlated(current_correlation_id()):
        try:
            yield client
        except grpc.RpcError as error:
            _log_failure(error, target)
            raise ServerCallError(describe_error(error, target, is_tls=server.is_tls)) from error


def _log_failure(error: Any, target: str) -> None:  # noqa: ANN401  an RpcError that is a Call too
    """Write a failed call to the log file, if there is one; the message is printed anyway."""
    code, reason = error.code(), ErrorReason.Name(reason_of(error))
    correlation_id = correlation_id_of(error)
    log.warning(
        "request_failed",
        is_printed=False,
        target=target,
        code=code.name,
        reason=reason,
        correlation_id=correlation_id,
    )


def credentials_for(server: ServerAddress) -> grpc.ChannelCredentials | None:
    """Return the TLS credentials of a connection; None: plaintext.

    Raises:
        ServerCallError: a file cannot be read, or a required one is missing.
    """
    if not server.is_tls:
        return None
    try:
        return tls(server.ca, server.certificate, server.key)
    except (OSError, ValueError) as error:
        raise ServerCallError(f"the TLS files cannot be used: {error}") from error


def default_target() -> str:
    """Return the address of a server with the settings of this environment; for a wildcard address, the loopback one.

    Raises:
        InvalidSettingsError: ONDECK_HOST or ONDECK_PORT is invalid.
    """
    settings = read_settings(TargetSettings)
    return format_target(settings.host, settings.port)


def format_target(host: str, port: int) -> str:
    """Return host:port of a listener on this machine, IPv6 in brackets."""
    host = _ANY_ADDRESS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def describe_error(error: Any, target: str, *, is_tls: bool = False) -> str:  # noqa: ANN401  an RpcError that is a Call too
    """Return the message for a failed call; invalid fields are named by their options."""
    if lines := [f"{option_of(each.field)} {each.description}" for each in violations_of(error)]:
        return "\n".join(lines)
    match reason_of(error), error.code():
        case ErrorReason.ERROR_REASON_INTERNAL, _:
            text = f"{error.details()} ({correlation_id_of(error)})"
        case ErrorReason.ERROR_REASON_MODEL_NOT_LOADED, _:
            text = f"the server at {target} answers, but does not serve this version: {error.details()}"
        case ErrorReason.ERROR_REASON_UNSPECIFIED, grpc.StatusCode.UNAVAILABLE:
            text = describe_fault(str(error.details()), target, is_tls=is_tls)
        case ErrorReason.ERROR_REASON_UNSPECIFIED, grpc.StatusCode.DEADLINE_EXCEEDED:
            text = f"the server at {target} did not answer in time"
        case ErrorReason.ERROR_REASON_UNSPECIFIED, code:
            text = f"{target} answered {code.name}: {error.details()}"
        case _:
            text = str(error.details())
    return text


def option_of(path: str) -> str:
    """Return the option of a request field: `pitch.plate_x` is `--plate-x`."""
    return "--" + path.rpartition(".")[2].replace("_", "-")


def answered_by(prediction: Prediction) -> str:
    """Return model, version, alias and digest of the version that made a prediction, in one line."""
    by = prediction.answered_by
    alias = f" ({by.alias})" if by.alias else ""
    return f"answered by {by.model}, version {by.version}{alias}, {by.digest[:12]}"
