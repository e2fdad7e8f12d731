"""`grpc.health.v1` with List, which the pinned package leaves out.

The package's own descriptor is taken as it is and what is missing is added, under the published names and numbers. Two
definitions of one name cannot share a pool, so ours lives in a pool of its own; on the wire nobody can tell. A package
that has List is taken as it is.
"""

from typing import Any, Final, cast

from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2

_PACKAGE: Final = ".grpc.health.v1"
_ENTRY: Final = "StatusesEntry"


def with_list(published: FileDescriptorProto) -> FileDescriptorProto:
    """Add the rpc List and its messages where they are missing; List tells of every name at once."""
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
