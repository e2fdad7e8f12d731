"""The handlers of `grpc.health.v1.Health`."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from grpc_health.v1 import health_pb2

from ondeck_core.errors import NotFoundError
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.context import CallContext
from ondeck_server.services.health_messages import HealthCheckResponse, HealthListResponse


class HealthService:
    """Tells whether names serve; one method for each rpc."""

    def __init__(self, health: HealthRegistry) -> None:
        self._health = health

    async def check(self, _: CallContext, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        """Tell of one name; one that there is not is NOT_FOUND."""
        word = self._health.statuses.get(request.service)
        if word is None:
            raise NotFoundError("service", request.service, sorted(self._health.statuses))
        return status_of(word)

    async def watch(
        self, _: CallContext, request: health_pb2.HealthCheckRequest
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Tell of one name now and whenever that changes; one that there is not is SERVICE_UNKNOWN, until there is."""
        async with aclosing(self._health.watch(request.service)) as words:
            async for word in words:
                yield status_of(word)

    async def list(self, _: CallContext, __: Any) -> Any:  # noqa: ANN401  the package has no types for messages it leaves out
        """Tell of every name."""
        return HealthListResponse(statuses={name: status_of(word) for name, word in self._health.statuses.items()})


def status_of(word: bool | None) -> health_pb2.HealthCheckResponse:  # noqa: FBT001  the word itself is what is written
    """Write the word of a name; None: there is no such name."""
    kind = HealthCheckResponse
    if word is None:
        return kind(status=kind.SERVICE_UNKNOWN)
    return kind(status=kind.SERVING if word else kind.NOT_SERVING)
