"""The `grpc.reflection.v1alpha.ServerReflection` service: the servicer of grpcio-reflection as a handler."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.reflection import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from ondeck_server.rpc.context import CallContext


class ReflectionService:
    """Returns the descriptors of the services that are served."""

    def __init__(self, services: Sequence[ServiceDescriptor]) -> None:
        self._servicer = aio.ReflectionServicer([each.full_name for each in services], pool=_pool_of(services))

    async def server_reflection_info(
        self, _: CallContext, requests: AsyncIterator[ServerReflectionRequest]
    ) -> AsyncGenerator[ServerReflectionResponse, None]:
        """Answer each request in order."""
        responses = self._servicer.ServerReflectionInfo(requests, None)
        async for response in responses:  # type: ignore[attr-defined]  # a generator; the stubs declare a coroutine
            yield response


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
