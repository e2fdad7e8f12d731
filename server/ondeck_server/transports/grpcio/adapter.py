"""grpcio as the transport: the one place that knows it. Handlers get a `Call` and values, and raise what happened."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from google.rpc import code_pb2
from prometheus_client import CollectorRegistry

from ondeck_server.rpc import correlation
from ondeck_server.rpc.errors import UnreadableRequestError, told
from ondeck_server.rpc.method import DETAILS, Method, admit, gone, methods_of
from ondeck_server.rpc.metrics import CallMetrics, MethodMetrics
from ondeck_server.transports.grpcio.context import Context, GrpcioCallContext

_CANCEL_COMES_WITHIN: Final = 0.002  # seconds; grpcio tells of it by another event than of the end of requests

_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Answers: TypeAlias = AsyncGenerator[Message, None]


class GrpcioAdapter:
    """Puts handler objects behind the services of the contract, and measures every call."""

    def __init__(self, registry: CollectorRegistry, least_compressed: int = 0) -> None:
        """Answers of fewer than `least_compressed` bytes are sent as they are; 0: nothing is compressed."""
        self._meters = CallMetrics(registry)
        self._least_compressed = least_compressed

    def serve(self, service: ServiceDescriptor, handlers: object) -> grpc.GenericRpcHandler:
        """Connect every rpc of a service with the method of `handlers` that has its name in snake case."""
        methods = methods_of(service, handlers, self._meters)
        table = {method.name.rpartition("/")[2]: self._handler(method) for method in methods}
        return grpc.method_handlers_generic_handler(service.full_name, table)

    def _handler(self, method: Method) -> "grpc.RpcMethodHandler[Any, Any]":
        words: dict[str, Any] = {"response_serializer": method.write}
        if method.many_requests:
            return grpc.stream_stream_rpc_method_handler(self._stream(method), **words)
        if method.many_answers:
            return grpc.stream_stream_rpc_method_handler(self._one_to_many(method), **words)
        return grpc.stream_unary_rpc_method_handler(self._unary(method), **words)

    def _unary(self, method: Method) -> Any:  # noqa: ANN401  as grpcio wants it
        """Connect an rpc of one request; it is read here: where none comes, grpcio itself would never answer."""
        handle, read, meter = method.handle, method.read, method.meter

        async def unary(_: AsyncIterator[bytes], context: Context) -> Message | None:
            begin = time.perf_counter()
            call = _begin(method.name, context)
            try:
                admit(call)
                answer: Message = await handle(call, read(await _only(context)))
            except Exception as error:  # noqa: BLE001  every error becomes a status here
                await _fail(call, context, error, meter, begin)
                return None
            except asyncio.CancelledError:
                meter.ended(gone(call), begin)
                raise
            self._press(context, answer)
            meter.ended(code_pb2.OK, begin)
            return answer

        return unary

    def _stream(self, method: Method) -> Any:  # noqa: ANN401  as grpcio wants it
        handle, read = method.handle, method.read

        async def stream(requests: AsyncIterator[bytes], context: Context) -> None:
            call = _begin(method.name, context)
            answers = handle(call, (read(request) async for request in requests))
            await self._write_all(call, context, answers, method.meter)

        return stream

    def _one_to_many(self, method: Method) -> Any:  # noqa: ANN401  as grpcio wants it
        handle, read = method.handle, method.read

        async def one_to_many(_: AsyncIterator[bytes], context: Context) -> None:
            call = _begin(method.name, context)

            async def answers() -> Answers:
                async with aclosing(handle(call, read(await _only(context)))) as given:
                    async for answer in given:
                        yield answer

            await self._write_all(call, context, answers(), method.meter)

        return one_to_many

    async def _write_all(
        self, call: GrpcioCallContext, context: Context, answers: Answers, meter: MethodMetrics
    ) -> None:
        """Write answers until there are no more.

        Handlers are no asynchronous generators towards grpcio: a call cancelled while one of its answers is on the way
        would leave them suspended, and what they hold, until the garbage collector comes by.
        """
        begin = time.perf_counter()
        try:
            admit(call)
            async for answer in answers:
                self._press(context, answer)
                await context.write(answer)
            await asyncio.sleep(_CANCEL_COMES_WITHIN)  # requests also end where the caller goes away
        except grpc.aio.InternalError:  # so grpcio says that there is nobody to write to
            meter.ended(gone(call), begin)
        except Exception as error:  # noqa: BLE001  every error becomes a status here
            await _fail(call, context, error, meter, begin)
        except asyncio.CancelledError:
            meter.ended(gone(call), begin)
            raise
        else:
            meter.ended(code_pb2.OK, begin)
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


async def _fail(
    call: GrpcioCallContext, context: Context, error: Exception, meter: MethodMetrics, begin: float
) -> None:
    if call.cancelled():  # it was the caller who broke it off: there is nobody to tell
        meter.ended(gone(call), begin)
        return
    outcome = told(error, call)
    meter.ended(outcome.code, begin)
    trailing = ((DETAILS, outcome.status().SerializeToString()), (correlation.HEADER, call.correlation_id))
    await context.abort(_CODES[outcome.code], outcome.message, trailing)


def _begin(method: str, context: Context) -> GrpcioCallContext:
    call = GrpcioCallContext(method, context)
    if call.given_id:
        context.set_trailing_metadata(((correlation.HEADER, call.given_id),))
    return call
