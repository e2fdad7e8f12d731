"""grpcio as the transport: the one place that knows it. Handlers get a `Call` and values, and raise what happened."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from prometheus_client import CollectorRegistry

from ondeck_server.rpc.call import Call
from ondeck_server.rpc.grpcio_call import CORRELATION, Context, GrpcioCall
from ondeck_server.rpc.meter import Meter, Meters
from ondeck_server.rpc.statuses import DeadlinePassedError, UnreadableRequestError, told

DETAILS: Final = "grpc-status-details-bin"

_CANCEL_COMES_WITHIN: Final = 0.002  # seconds; grpcio tells of it by another event than of the end of requests

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Read: TypeAlias = Callable[[bytes], Message]
Answers: TypeAlias = AsyncGenerator[Message, None]


class Adapter:
    """Puts handler objects behind the services of the contract, and measures every call."""

    def __init__(self, registry: CollectorRegistry, least_compressed: int = 0) -> None:
        """Answers of fewer than `least_compressed` bytes are sent as they are; 0: nothing is compressed."""
        self._meters = Meters(registry)
        self._least_compressed = least_compressed

    def serve(self, service: ServiceDescriptor, handlers: object) -> grpc.GenericRpcHandler:
        """Connect every rpc of a service with the method of `handlers` that has its name in snake case."""
        table = {
            method.name: self._handler(method, getattr(handlers, _snake(method.name))) for method in service.methods
        }
        return grpc.method_handlers_generic_handler(service.full_name, table)

    def _handler(self, method: MethodDescriptor, handle: Callable[..., Any]) -> "grpc.RpcMethodHandler[Any, Any]":
        words: dict[str, Any] = {"response_serializer": GetMessageClass(method.output_type).SerializeToString}
        name, read = f"/{method.containing_service.full_name}/{method.name}", _reader(method)
        meter = self._meters.of(name)
        if method.client_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(name, read, handle, meter), **words)
        if method.server_streaming:
            return grpc.stream_stream_rpc_method_handler(self._one_to_many(name, read, handle, meter), **words)
        return grpc.stream_unary_rpc_method_handler(self._unary(name, read, handle, meter), **words)

    def _unary(self, name: str, read: Read, handle: Callable[[Call, Any], Awaitable[Message]], meter: Meter) -> Any:  # noqa: ANN401  as grpcio wants it
        """Connect an rpc of one request; it is read here: where none comes, grpcio itself would never answer."""

        async def unary(_: AsyncIterator[bytes], context: Context) -> Message | None:
            begin = time.perf_counter()
            call = _begin(name, context)
            try:
                _admit(call)
                answer = await handle(call, read(await _only(context)))
            except Exception as error:  # noqa: BLE001  every error becomes a status here
                await _fail(call, context, error, meter, begin)
                return None
            except asyncio.CancelledError:
                meter.ended(_gone(call), begin)
                raise
            self._press(context, answer)
            meter.ended(grpc.StatusCode.OK, begin)
            return answer

        return unary

    def _stream(
        self, name: str, read: Read, handle: Callable[[Call, AsyncIterator[Any]], Answers], meter: Meter
    ) -> Any:  # noqa: ANN401  as grpcio wants it
        async def stream(requests: AsyncIterator[bytes], context: Context) -> None:
            call = _begin(name, context)
            await self._write_all(call, context, handle(call, (read(request) async for request in requests)), meter)

        return stream

    def _one_to_many(self, name: str, read: Read, handle: Callable[[Call, Any], Answers], meter: Meter) -> Any:  # noqa: ANN401  as grpcio wants it
        async def one_to_many(_: AsyncIterator[bytes], context: Context) -> None:
            call = _begin(name, context)

            async def answers() -> Answers:
                async with aclosing(handle(call, read(await _only(context)))) as given:
                    async for answer in given:
                        yield answer

            await self._write_all(call, context, answers(), meter)

        return one_to_many

    async def _write_all(self, call: GrpcioCall, context: Context, answers: Answers, meter: Meter) -> None:
        """Write answers until there are no more.

        Handlers are no asynchronous generators towards grpcio: a call cancelled while one of its answers is on the way
        would leave them suspended, and what they hold, until the garbage collector comes by.
        """
        begin = time.perf_counter()
        try:
            _admit(call)
            async for answer in answers:
                self._press(context, answer)
                await context.write(answer)
            await asyncio.sleep(_CANCEL_COMES_WITHIN)  # requests also end where the caller goes away
        except grpc.aio.InternalError:  # so grpcio says that there is nobody to write to
            meter.ended(_gone(call), begin)
        except Exception as error:  # noqa: BLE001  every error becomes a status here
            await _fail(call, context, error, meter, begin)
        except asyncio.CancelledError:
            meter.ended(_gone(call), begin)
            raise
        else:
            meter.ended(grpc.StatusCode.OK, begin)
        finally:
            await answers.aclose()

    def _press(self, context: Context, answer: Message) -> None:
        """Leave an answer as it is that is too small to be compressed."""
        if self._least_compressed and answer.ByteSize() < self._least_compressed:
            context.disable_next_message_compression()


async def _only(context: Context) -> bytes:
    """Read the one request of a call."""
    request = await context.read()
    if not isinstance(request, bytes):
        raise UnreadableRequestError("the call ended before its request had come")
    return request


async def _fail(call: GrpcioCall, context: Context, error: Exception, meter: Meter, begin: float) -> None:
    if call.cancelled():  # it was the caller who broke it off: there is nobody to tell
        meter.ended(_gone(call), begin)
        return
    outcome = told(error, call)
    code = _CODES[outcome.code]
    meter.ended(code, begin)
    trailing = ((DETAILS, outcome.status().SerializeToString()), (CORRELATION, call.correlation_id))
    await context.abort(code, outcome.message, trailing)


def _gone(call: GrpcioCall) -> grpc.StatusCode:
    """Tell why a call ended that its caller no longer waits for."""
    left = call.time_left()
    return grpc.StatusCode.CANCELLED if left is None or left > 0 else grpc.StatusCode.DEADLINE_EXCEEDED


def _reader(method: MethodDescriptor) -> Read:
    """Make what reads a request; grpcio itself would tell a caller of UNKNOWN where it cannot be read."""
    kind = GetMessageClass(method.input_type)

    def read(request: bytes) -> Message:
        try:
            return kind.FromString(request)
        except DecodeError as broken:
            raise UnreadableRequestError(f"the request is no {method.input_type.full_name}: {broken}") from broken

    return read


def _begin(method: str, context: Context) -> GrpcioCall:
    call = GrpcioCall(method, context)
    if call.given_id:
        context.set_trailing_metadata(((CORRELATION, call.given_id),))
    return call


def _admit(call: Call) -> None:
    left = call.time_left()
    if left is not None and left <= 0:
        raise DeadlinePassedError("the deadline had passed before the call began")


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
