"""The handler of `grpc.reflection.v1alpha.ServerReflection`: the package's own servicer, behind our seam."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from google.protobuf.descriptor import ServiceDescriptor
from grpc_reflection.v1alpha.reflection import aio
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from ondeck_server.rpc.context import CallContext
from ondeck_server.services.descriptor_pool import one_pool


class ReflectionService:
    """Tells which services there are, and what they take and give."""

    def __init__(self, services: Sequence[ServiceDescriptor]) -> None:
        self._servicer = aio.ReflectionServicer([each.full_name for each in services], pool=one_pool(services))

    async def server_reflection_info(
        self, _: CallContext, requests: AsyncIterator[ServerReflectionRequest]
    ) -> AsyncGenerator[ServerReflectionResponse, None]:
        """Answer each question in its turn."""
        told = self._servicer.ServerReflectionInfo(requests, None)
        async for answer in told:  # type: ignore[attr-defined]  # a generator, which the stubs take for a coroutine
            yield answer
