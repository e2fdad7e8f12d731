"""The `grpc.reflection.v1alpha.ServerReflection` service, without grpcio, which a worker need not import for it."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import code_pb2
from grpc_reflection.v1alpha.reflection_pb2 import (
    ErrorResponse,
    ExtensionNumberResponse,
    FileDescriptorResponse,
    ListServiceResponse,
    ServerReflectionRequest,
    ServerReflectionResponse,
    ServiceResponse,
)

from ondeck_server.rpc.context import CallContext

_NO_QUERY: Final = ErrorResponse(error_code=code_pb2.INVALID_ARGUMENT, error_message="the request asks for nothing")


class ReflectionService:
    """Returns the descriptors of the services that are served."""

    def __init__(self, services: Sequence[ServiceDescriptor]) -> None:
        names = sorted(each.full_name for each in services)
        self._services = ListServiceResponse(service=[ServiceResponse(name=name) for name in names])
        self._pool: Any = _pool_of(services)  # its lookups are untyped in the stubs

    async def server_reflection_info(
        self, _: CallContext, requests: AsyncIterator[ServerReflectionRequest]
    ) -> AsyncGenerator[ServerReflectionResponse, None]:
        """Answer each request in order; what does not exist is an error response."""
        async for request in requests:
            response = self._respond(request)
            response.original_request.CopyFrom(request)
            yield response

    def _respond(self, request: ServerReflectionRequest) -> ServerReflectionResponse:
        try:
            match request.WhichOneof("message_request"):
                case "list_services":
                    return ServerReflectionResponse(list_services_response=self._services)
                case "all_extension_numbers_of_type":
                    numbers = self._extension_numbers(request.all_extension_numbers_of_type)
                    return ServerReflectionResponse(all_extension_numbers_response=numbers)
                case None:
                    return ServerReflectionResponse(error_response=_NO_QUERY)
            files = FileDescriptorResponse(
                file_descriptor_proto=[each.serialized_pb for each in _with_dependencies(self._find_file(request))]
            )
            return ServerReflectionResponse(file_descriptor_response=files)
        except KeyError as missing:
            error = ErrorResponse(error_code=code_pb2.NOT_FOUND, error_message=str(missing.args[0]))
            return ServerReflectionResponse(error_response=error)

    def _find_file(self, request: ServerReflectionRequest) -> FileDescriptor:
        pool, extension = self._pool, request.file_containing_extension
        found: FileDescriptor
        if request.HasField("file_by_filename"):
            found = pool.FindFileByName(request.file_by_filename)
        elif request.HasField("file_containing_symbol"):
            found = pool.FindFileContainingSymbol(request.file_containing_symbol)
        else:
            message = pool.FindMessageTypeByName(extension.containing_type)
            found = pool.FindExtensionByNumber(message, extension.extension_number).file
        return found

    def _extension_numbers(self, name: str) -> ExtensionNumberResponse:
        extensions = self._pool.FindAllExtensions(self._pool.FindMessageTypeByName(name))
        return ExtensionNumberResponse(base_type_name=name, extension_number=sorted(each.number for each in extensions))


def _with_dependencies(file: FileDescriptor) -> list[FileDescriptor]:
    """List a file and those that it imports, each once."""
    found = {file.name: file}
    waiting = [file]
    while waiting:
        for each in waiting.pop().dependencies:
            if each.name not in found:
                found[each.name] = each
                waiting.append(each)
    return list(found.values())


def _pool_of(services: Sequence[ServiceDescriptor]) -> DescriptorPool:
    """Return a pool with the files of all services; the extended health file is not in the default pool."""
    pool, added = DescriptorPool(), set[str]()
    for service in services:
        _add(pool, service.file, added)
    return pool


def _add(pool: DescriptorPool, file: FileDescriptor, added: set[str]) -> None:
    if file.name in added:
        return
    added.add(file.name)
    for dependency in file.dependencies:
        _add(pool, dependency, added)
    pool.AddSerializedFile(file.serialized_pb)  # type: ignore[no-untyped-call]  # untyped in the stubs
