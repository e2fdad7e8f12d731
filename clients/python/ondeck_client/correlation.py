"""The correlation id of calls: the caller's own, else that of the current context, else a new one."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import grpc

CORRELATION_HEADER: Final = "x-correlation-id"
MAX_CORRELATION_ID: Final = 128  # characters; the server replaces longer ids
_ATTRIBUTE: Final = "_ondeck_correlation_id"
_ID_BYTES: Final = 16
_CURRENT: Final[ContextVar[str]] = ContextVar("ondeck_correlation_id", default="")


@contextmanager
def correlated(correlation_id: str = "") -> Iterator[str]:
    """Send calls under one id within the block, and yield the id; "": a new one.

    The id belongs to the current task or thread; tasks that start within the block inherit it.

    Raises:
        ValueError: it is too long, or has characters that gRPC does not carry.
    """
    chosen = _checked(correlation_id) if correlation_id else _make_id()
    token = _CURRENT.set(chosen)
    try:
        yield chosen
    finally:
        _CURRENT.reset(token)


def id_of_call(correlation_id: str | None) -> str:
    """Return the id of a call: the one given, that of the current context, or a new one.

    Raises:
        ValueError: as `correlated`.
    """
    return _checked(correlation_id) if correlation_id else _CURRENT.get() or _make_id()


def attach_correlation_id(error: grpc.RpcError, correlation_id: str) -> None:
    """Let an error carry the id of its call, also if no server has answered; a traceback shows it, too."""
    if correlation_id and not attached_correlation_id(error):
        setattr(error, _ATTRIBUTE, correlation_id)
        error.add_note(f"correlation id: {correlation_id}")


def attached_correlation_id(error: grpc.RpcError) -> str:
    """Return the id that an error carries; "": none."""
    value = getattr(error, _ATTRIBUTE, "")
    return value if isinstance(value, str) else ""


def _make_id() -> str:
    return secrets.token_hex(_ID_BYTES)


def _checked(correlation_id: str) -> str:
    is_sendable = correlation_id.isascii() and correlation_id.isprintable() and correlation_id == correlation_id.strip()
    if not is_sendable or len(correlation_id) > MAX_CORRELATION_ID:
        raise ValueError(f"a correlation id has at most {MAX_CORRELATION_ID} printable ASCII characters")
    return correlation_id
