"""Calls that grpcio carries: its handler table, and its context as a `ServerCall`."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import Message
from google.rpc import code_pb2

from ondeck_runtime.correlation import trace_id_of
from ondeck_server.rpc.call_log import MAX_LOGGED_PATH, log_rejected
from ondeck_server.rpc.method import Method, MethodMetrics
from ondeck_server.rpc.server_call import (
    CORRELATION_HEADER,
    TRACEPARENT_HEADER,
    ServerCall,
    Trailers,
    valid_or_new_id,
)

_CANCEL_EVENT_SECONDS: Final = 0.002  # within which grpcio's event of a cancelled call follows the end of its requests
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


def generic_handlers(methods: Iterable[Method], compression_threshold: int) -> tuple[grpc.GenericRpcHandler, ...]:
    """Return grpcio's handler table of each service; responses below the threshold in bytes are not compressed."""
    tables: dict[str, dict[str, Any]] = defaultdict(dict)
    for method in methods:
        _, service, name = method.name.split("/")
        tables[service][name] = _handler(method, compression_threshold)
    return tuple(grpc.method_handlers_generic_handler(service, table) for service, table in tables.items())


class UnknownMethods(grpc.GenericRpcHandler):
    """Answers calls of methods that no other handler has, as grpcio does without it; counts and logs them."""

    def __init__(self, metrics: MethodMetrics) -> None:
        self._metrics = metrics

    def service(self, details: grpc.HandlerCallDetails) -> Any:  # noqa: ANN401  grpcio's handlers have no common type
        """Return the handler of any call."""

        async def refuse(_: AsyncIterator[bytes], context: Context) -> None:
            self._metrics.refuse(code_pb2.UNIMPLEMENTED)
            correlation_id = valid_or_new_id(_given_id(context))
            log_rejected(details.method[:MAX_LOGGED_PATH], correlation_id, code_pb2.UNIMPLEMENTED, "")
            trailers = ((CORRELATION_HEADER, correlation_id),)
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "the method does not exist", trailers)

        return grpc.stream_stream_rpc_method_handler(refuse)


def _given_id(context: Context) -> str:
    """Return the id that the caller sent as x-correlation-id, else in its traceparent, valid or not; "": none."""
    found = {
        key: value
        for key, value in context.invocation_metadata() or ()
        if key in {CORRELATION_HEADER, TRACEPARENT_HEADER} and isinstance(value, str)
    }
    return found.get(CORRELATION_HEADER) or trace_id_of(found.get(TRACEPARENT_HEADER, ""))


def _handler(method: Method, compression_threshold: int) -> Any:  # noqa: ANN401  grpcio's handlers have no common type
    """Connect a method; all read their requests here: grpcio never answers a unary call without a message."""

    async def unary(_: AsyncIterator[bytes], context: Context) -> Message | bytes | None:
        call = GrpcioUnaryCall(method, context, compression_threshold)
        await call.run()
        await call.abort_if_failed()
        return call.response

    async def stream(requests: AsyncIterator[bytes], context: Context) -> None:
        call = GrpcioStreamCall(method, context, compression_threshold, requests)
        await call.run()
        await call.abort_if_failed()

    if method.client_streaming or method.server_streaming:
        return grpc.stream_stream_rpc_method_handler(stream, response_serializer=method.encode)
    return grpc.stream_unary_rpc_method_handler(unary, response_serializer=method.encode)


class GrpcioCall(ServerCall):
    """One call; what few handlers need is read from grpcio on first use."""

    def __init__(self, method: Method, context: Context, compression_threshold: int) -> None:
        super().__init__(method)
        self._context = context
        self._compression_threshold = compression_threshold
        self._failure: tuple[int, str, Trailers] | None = None

    @cached_property
    def metadata(self) -> Mapping[str, str]:
        """Text metadata of the request."""
        return {key: value for key, value in self._context.invocation_metadata() or () if isinstance(value, str)}

    @cached_property
    def peer(self) -> str:
        """Address of the caller."""
        return self._context.peer()

    @cached_property
    def identity(self) -> str:
        """Identity from the caller's client certificate: its first name of a kind that gRPC reads; "" without one."""
        names = self._context.peer_identities() or ()
        return next((bytes(name).decode("utf-8", "replace") for name in names), "")

    def time_left(self) -> float | None:
        """Return the seconds until the deadline; None: no deadline."""
        return self._context.time_remaining()

    def cancelled(self) -> bool:
        """Return whether the caller has cancelled the call or disconnected."""
        return self._context.cancelled()

    async def abort_if_failed(self) -> None:
        """Send the status of a failed call."""
        if self._failure is not None:
            code, message, trailers = self._failure
            await self._context.abort(_CODES[code], message, tuple(trailers))

    async def _answer(self) -> None:
        if not self._method.client_streaming:
            request = await self._context.read()
            self._request = request if isinstance(request, bytes) else None
        await super()._answer()

    def _correlation_header(self) -> str:
        return _given_id(self._context)

    def _skip_compression(self, response: Message | bytes) -> None:
        """Disable compression of a small response."""
        size = len(response) if isinstance(response, bytes) else response.ByteSize()
        if size < self._compression_threshold:
            self._context.disable_next_message_compression()

    def _send_status(self, code: int, message: str, trailers: Trailers) -> None:
        if code:
            self._failure = code, message, trailers
        elif trailers:
            self._context.set_trailing_metadata(tuple(trailers))

    def _on_handler_cancelled(self) -> None:
        if not self.is_over:  # grpcio cancels a handler when the caller is gone or the deadline has passed
            self._close(self._cancel_code())


class GrpcioUnaryCall(GrpcioCall):
    """A call with one request and one response, which grpcio sends."""

    response: Message | bytes | None = None

    def _send(self, response: Message | bytes) -> None:
        self._skip_compression(response)
        self.response = response


class GrpcioStreamCall(GrpcioCall):
    """A call with a stream of requests or responses.

    The handler is no asynchronous generator towards grpcio: if a call is cancelled while a response is being written,
    grpcio leaves generators suspended, with all that they hold, until they are garbage collected.
    """

    def __init__(
        self, method: Method, context: Context, compression_threshold: int, requests: AsyncIterator[bytes]
    ) -> None:
        super().__init__(method, context, compression_threshold)
        if method.client_streaming:  # otherwise the requests must not be iterated: _answer() reads the only one
            self._requests = (method.decode(request) async for request in requests)

    async def _answer(self) -> None:
        try:
            await super()._answer()
            await asyncio.sleep(_CANCEL_EVENT_SECONDS)  # the requests also end when the caller cancels
        except grpc.aio.InternalError:  # raised by write() after the caller is gone
            self._close(self._cancel_code())

    def _send(self, response: Message | bytes) -> Awaitable[None]:
        self._skip_compression(response)
        return self._context.write(response)
