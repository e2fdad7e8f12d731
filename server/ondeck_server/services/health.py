"""The `grpc.health.v1.Health` service, with the rpc List that the pinned grpcio-health-checking lacks.

The messages come from the package's descriptor plus List under its published names and numbers. Two definitions of one
name cannot share a descriptor pool, so the extended file lives in its own pool; the wire format is the same. A package
that already has List is used unchanged.
"""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Final, cast

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

from ondeck_core.errors import NotFoundError
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.context import CallContext

_PACKAGE: Final = ".grpc.health.v1"
_ENTRY: Final = "StatusesEntry"


def with_list(published: FileDescriptorProto) -> FileDescriptorProto:
    """Return the file with the rpc List and its messages, which are added where they are missing."""
    file = FileDescriptorProto()
    file.CopyFrom(published)
    (service,) = file.service
    if all(method.name != "List" for method in service.method):
        service.method.add(
            name="List", input_type=f"{_PACKAGE}.HealthListRequest", output_type=f"{_PACKAGE}.HealthListResponse"
        )
        file.message_type.add(name="HealthListRequest")
        _map_of_statuses(file.message_type.add(name="HealthListResponse"))
    return file


def _map_of_statuses(response: DescriptorProto) -> None:
    text, message = FieldDescriptorProto.TYPE_STRING, FieldDescriptorProto.TYPE_MESSAGE
    once, many = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED
    status, entry = f"{_PACKAGE}.HealthCheckResponse", f"{_PACKAGE}.HealthListResponse.{_ENTRY}"
    response.field.add(name="statuses", number=1, type=message, label=many, type_name=entry)
    pair = response.nested_type.add(name=_ENTRY)
    pair.options.map_entry = True
    pair.field.add(name="key", number=1, type=text, label=once)
    pair.field.add(name="value", number=2, type=message, label=once, type_name=status)


_PUBLISHED: Final = FileDescriptorProto.FromString(health_pb2.DESCRIPTOR.serialized_pb)
_FILE: Final = DescriptorPool().AddSerializedFile(  # type: ignore[no-untyped-call]  # the stubs give it no types
    with_list(_PUBLISHED).SerializeToString()
)
HEALTH: Final[ServiceDescriptor] = _FILE.services_by_name["Health"]
HealthCheckRequest: Final = cast(
    "type[health_pb2.HealthCheckRequest]", GetMessageClass(_FILE.message_types_by_name["HealthCheckRequest"])
)
HealthCheckResponse: Final = cast(
    "type[health_pb2.HealthCheckResponse]", GetMessageClass(_FILE.message_types_by_name["HealthCheckResponse"])
)
HealthListRequest: Final[Any] = GetMessageClass(_FILE.message_types_by_name["HealthListRequest"])
HealthListResponse: Final[Any] = GetMessageClass(_FILE.message_types_by_name["HealthListResponse"])


class HealthService:
    """One method for each rpc."""

    def __init__(self, health: HealthRegistry) -> None:
        self._health = health

    async def check(self, _: CallContext, request: health_pb2.HealthCheckRequest) -> health_pb2.HealthCheckResponse:
        """Return the status of one service; NOT_FOUND where it is unknown."""
        serving = self._health.statuses.get(request.service)
        if serving is None:
            raise NotFoundError("service", request.service, sorted(self._health.statuses))
        return health_response(serving)

    async def watch(
        self, _: CallContext, request: health_pb2.HealthCheckRequest
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Send the status of one service now and on every change; SERVICE_UNKNOWN while it is unknown."""
        async with aclosing(self._health.watch(request.service)) as statuses:
            async for serving in statuses:
                yield health_response(serving)

    async def list(self, _: CallContext, __: Any) -> Any:  # noqa: ANN401  the package has no types for these messages
        """Return the status of every service."""
        statuses = {name: health_response(serving) for name, serving in self._health.statuses.items()}
        return HealthListResponse(statuses=statuses)


def health_response(serving: bool | None) -> health_pb2.HealthCheckResponse:  # noqa: FBT001  the value to convert
    """Convert a status to its message; None: the service is unknown."""
    kind = HealthCheckResponse
    if serving is None:
        return kind(status=kind.SERVICE_UNKNOWN)
    return kind(status=kind.SERVING if serving else kind.NOT_SERVING)
