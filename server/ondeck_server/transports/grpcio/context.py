"""A call that grpcio carries. What few handlers ask for is read when it is asked for: every call pays for the rest."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeAlias

import grpc

from ondeck_server.rpc import correlation

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class GrpcioCallContext:
    """One call, as `ondeck_server.rpc.context.CallContext` describes it."""

    def __init__(self, method: str, context: Context) -> None:
        self.method = method
        self._context = context

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """The caller's text headers."""
        return {key: value for key, value in self._context.invocation_metadata() or () if isinstance(value, str)}

    @cached_property
    def given_id(self) -> str:
        """The caller's own correlation id; "" where he gave none that can be used."""
        for key, value in self._context.invocation_metadata() or ():
            if key == correlation.HEADER and correlation.fits(value):
                return str(value)
        return ""

    @cached_property
    def correlation_id(self) -> str:
        """What the log and the caller know this call by."""
        return self.given_id or correlation.new()

    @cached_property
    def peer(self) -> str:
        """Where the caller is."""
        return self._context.peer()

    @cached_property
    def identity(self) -> str:
        """Who the caller's certificate says he is: its first name of a kind that gRPC looks at."""
        names = self._context.peer_identities() or ()
        return next((bytes(name).decode("utf-8", "replace") for name in names), "")

    def time_left(self) -> float | None:
        """Seconds that the caller still waits."""
        return self._context.time_remaining()

    def cancelled(self) -> bool:
        """Tell whether the caller has gone away."""
        return self._context.cancelled()
