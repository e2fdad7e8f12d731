"""grpcio as the transport: the one place that knows it. Handlers get a `Call` and values, and raise what happened."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import CollectorRegistry, Counter, Histogram

from ondeck_server.rpc.call import Call
from ondeck_server.rpc.statuses import DeadlinePassedError, UnreadableRequestError, told

CORRELATION: Final = "x-correlation-id"
DETAILS: Final = "grpc-status-details-bin"
LONGEST_CORRELATION_ID: Final = 128

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Read: TypeAlias = Callable[[bytes], Message]
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Adapter:
    """Puts handler objects behind the services of the contract, and measures every call."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._calls = Counter("ondeck_calls", "Calls ended.", ("method", "code"), registry=registry)
        self._seconds = Histogram("ondeck_call_seconds", "Seconds a call took.", ("method",), registry=registry)

    def serve(self, service: ServiceDescriptor, handlers: object) -> grpc.GenericRpcHandler:
        """Connect every rpc of a service with the method of `handlers` that has its name in snake case."""
        table = {
            method.name: self._handler(method, getattr(handlers, _snake(method.name))) for method in service.methods
        }
        return grpc.method_handlers_generic_handler(service.full_name, table)

    def _handler(self, method: MethodDescriptor, handle: Callable[..., Any]) -> "grpc.RpcMethodHandler[Any, Any]":
        words: dict[str, Any] = {"response_serializer": GetMessageClass(method.output_type).SerializeToString}
        name, read = f"/{method.containing_service.full_name}/{method.name}", _reader(method)
        if method.client_streaming and method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(name, _each(read, handle)), **words)
        if method.server_streaming:
            return grpc.unary_stream_rpc_method_handler(self._stream(name, _one(read, handle)), **words)
        return grpc.unary_unary_rpc_method_handler(self._unary(name, read, handle), **words)

    def _unary(self, name: str, read: Read, handle: Callable[[Call, Any], Awaitable[Message]]) -> Callable[..., Any]:
        async def unary(request: bytes, context: Context) -> Message | None:
            begin = time.perf_counter()
            call = _begin(name, context)
            try:
                _admit(call)
                answer = await handle(call, read(request))
            except Exception as error:  # noqa: BLE001  every error becomes a status here
                await self._fail(call, context, error, begin)
                return None
            except asyncio.CancelledError:
                self._count(name, grpc.StatusCode.CANCELLED, begin)
                raise
            self._count(name, grpc.StatusCode.OK, begin)
            return answer

        return unary

    def _stream(self, name: str, handle: Callable[[Call, Any], AsyncIterator[Message]]) -> Callable[..., Any]:
        async def stream(asked: Any, context: Context) -> AsyncIterator[Message]:  # noqa: ANN401  bytes, one or many
            begin = time.perf_counter()
            call = _begin(name, context)
            try:
                _admit(call)
                async for answer in handle(call, asked):
                    yield answer
            except Exception as error:  # noqa: BLE001  every error becomes a status here
                await self._fail(call, context, error, begin)
                return
            except (asyncio.CancelledError, GeneratorExit):
                self._count(name, grpc.StatusCode.CANCELLED, begin)
                raise
            self._count(name, grpc.StatusCode.OK, begin)

        return stream

    async def _fail(self, call: Call, context: Context, error: Exception, begin: float) -> None:
        outcome = told(error, call)
        code = _CODES[outcome.code]
        self._count(call.method, code, begin)
        trailing = ((DETAILS, outcome.status().SerializeToString()), (CORRELATION, call.correlation_id))
        await context.abort(code, outcome.message, trailing)

    def _count(self, method: str, code: grpc.StatusCode, begin: float) -> None:
        self._calls.labels(method, code.name).inc()
        self._seconds.labels(method).observe(time.perf_counter() - begin)


def _reader(method: MethodDescriptor) -> Read:
    """Make what reads a request; grpcio itself would tell a caller of UNKNOWN where it cannot be read."""
    kind = GetMessageClass(method.input_type)

    def read(request: bytes) -> Message:
        try:
            return kind.FromString(request)
        except DecodeError as broken:
            raise UnreadableRequestError(f"the request is no {method.input_type.full_name}: {broken}") from broken

    return read


def _each(read: Read, handle: Callable[..., AsyncIterator[Message]]) -> Callable[[Call, Any], AsyncIterator[Message]]:
    return lambda call, requests: handle(call, (read(request) async for request in requests))


def _one(read: Read, handle: Callable[..., AsyncIterator[Message]]) -> Callable[[Call, Any], AsyncIterator[Message]]:
    return lambda call, request: handle(call, read(request))


def _begin(method: str, context: Context) -> Call:
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    given = metadata.get(CORRELATION, "")
    correlation_id = given if 0 < len(given) <= LONGEST_CORRELATION_ID else secrets.token_hex(8)
    context.set_trailing_metadata(((CORRELATION, correlation_id),))
    return Call(
        method=method,
        correlation_id=correlation_id,
        metadata=metadata,
        peer=context.peer(),
        time_left=context.time_remaining,
        cancelled=context.cancelled,
    )


def _admit(call: Call) -> None:
    left = call.time_left()
    if left is not None and left <= 0:
        raise DeadlinePassedError("the deadline had passed before the call began")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
