"""Ask a running server, and tell a person in words why it would not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from ondeck_cli.settings import CallerSettings
from ondeck_client import Client, ErrorReason, reason_of, violations_of
from ondeck_core.errors import OndeckError
from ondeck_store.settings import read_settings


class NoAnswerError(OndeckError):
    """The server could not be asked, or would not answer."""


@contextmanager
def asking(target: str | None) -> Iterator[Client]:
    """Connect to a server for as long as the block; `target` None: as ONDECK_HOST and ONDECK_PORT say.

    Raises:
        NoAnswerError: whatever gRPC error the block meets, in words.
    """
    where = target or read_settings(CallerSettings).target
    with Client(where) as client:
        try:
            yield client
        except grpc.RpcError as failed:
            raise NoAnswerError(in_words(failed, where)) from failed


def in_words(failed: Any, where: str) -> str:  # noqa: ANN401  an RpcError that is a Call too
    """Say what a person should do about an error."""
    lines = [f"{as_option(each.field)}: {each.description}" for each in violations_of(failed)]
    if lines:
        return "\n".join(lines)
    if reason_of(failed) == ErrorReason.ERROR_REASON_UNSPECIFIED and failed.code() is grpc.StatusCode.UNAVAILABLE:
        return f"no Ondeck server answers at {where}; start one with: ondeck up"
    return f"{failed.code().name}: {failed.details()}"


def as_option(path: str) -> str:
    """Name the option that a field of a request came from: `pitch.plate_x` is `--plate-x`."""
    return "--" + path.rpartition(".")[2].replace("_", "-")
