"""The lifecycle of a call, common to all transports: deadline, decoding, handler, status, trailers, metrics.

A transport subclasses `ServerCall`. It moves bytes and reports when the caller has cancelled or disconnected.
"""

import asyncio
import secrets
import time
from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any, Final, Protocol, TypeAlias

from google.protobuf.message import Message
from google.rpc import code_pb2

from ondeck.v1.error_reason_pb2 import ErrorReason
from ondeck_runtime.correlation import CURRENT_WORK, MAX_CORRELATION_ID, CorrelatedWork
from ondeck_runtime.tracing import ACTIVE
from ondeck_server.rpc.call_log import log_rejected, log_slow
from ondeck_server.rpc.errors import DeadlineExceededError, ProtocolError, UnreadableRequestError, map_and_log
from ondeck_server.rpc.method import Method

CORRELATION_HEADER: Final = "x-correlation-id"
TRACEPARENT_HEADER: Final = "traceparent"
STATUS_DETAILS: Final = "grpc-status-details-bin"

_PROCESS_ID: Final = secrets.token_hex(6)  # random once: a system call for each call costs more than a counter
_CALL_NUMBERS: Final = count()

Trailers: TypeAlias = Sequence[tuple[str, str | bytes]]


class PendingResponse(Protocol):
    """A unary call whose run is queued; its handler returns it without being a coroutine."""

    outputs: "asyncio.Future[Any]"

    def finish(self) -> bytes:
        """Return the serialized response and release what the call holds; raises the error of `outputs`."""

    def cancel(self) -> None:
        """Cancel the run and release what the call holds."""

    def __await__(self) -> Generator[Any, Any, Message]:
        """Wait for the response."""


class ServerCall(CorrelatedWork):
    """One call; handlers see it as `ondeck_server.rpc.context.CallContext`."""

    def __init__(self, method: Method) -> None:
        self.method = method.name
        self.is_over = False
        self._method = method
        self._started_at = time.perf_counter()
        self._request: bytes | None = None
        self._requests: AsyncIterator[Message]
        self._task: asyncio.Task[None] | None = None
        self._pending: PendingResponse | None = None
        self._is_cancelled = False
        method.metrics.start()

    @property
    @abstractmethod
    def metadata(self) -> Mapping[str, str]:
        """Text metadata of the request."""

    @property
    @abstractmethod
    def peer(self) -> str:
        """Address of the caller."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Identity from the caller's client certificate; "" without one."""

    @abstractmethod
    def time_left(self) -> float | None:
        """Return the seconds until the deadline; None: no deadline."""

    @abstractmethod
    def _correlation_header(self) -> str:
        """Return the id that the caller sent as x-correlation-id, else in its traceparent, valid or not; "": none."""

    @abstractmethod
    def _send(self, response: Message | bytes) -> Awaitable[None] | None:
        """Send a response, serialized or not; a stream awaits the result, if there is one, before the next one."""

    @abstractmethod
    def _send_status(self, code: int, message: str, trailers: Trailers) -> None:
        """Send the status that ends the call."""

    @cached_property
    def given_correlation_id(self) -> str:
        """The caller's correlation id; "" if it sent none or an invalid one."""
        given = self._correlation_header()
        return given if len(given) <= MAX_CORRELATION_ID else ""

    @cached_property
    def correlation_id(self) -> str:
        """Id of this call in logs and trailers."""
        return self.given_correlation_id or number_call()

    def cancelled(self) -> bool:
        """Return whether the caller has cancelled the call or disconnected."""
        return self._is_cancelled

    def hold(self, size: int) -> None:
        """Charge bytes to the connection, if the transport has accounts of them; errors as `CallContext.hold`."""

    def release(self, size: int) -> None:
        """Return bytes that were charged."""

    def start(self) -> None:
        """Run the call: in a task of its own, unless its handler returns a `PendingResponse`, which needs none."""
        if self._method.is_coroutine:
            self._task = asyncio.get_running_loop().create_task(self.run())
        else:
            self._start_pending()

    async def run(self) -> None:
        """Answer the call and end it with a status; raises nothing but asyncio.CancelledError."""
        CURRENT_WORK.set(self)  # in the context of this task
        if ACTIVE:
            self._start_span()
        try:
            self._check_deadline()
            await self._answer()
            self._end_ok()
        except Exception as error:  # noqa: BLE001  every error becomes a status here
            self._end_with(error)
        except asyncio.CancelledError:
            self._on_handler_cancelled()
            raise
        finally:
            self._task = None  # a cancelled task keeps its frames, which refer to this call: break the cycle

    def _start_pending(self) -> None:
        token = CURRENT_WORK.set(self)
        if ACTIVE:
            self._start_span()
        try:
            self._check_deadline()
            pending = self._pending = self._method.handle(self, self._decode_request())
            pending.outputs.add_done_callback(self._on_outputs)  # it keeps this context
        except Exception as error:  # noqa: BLE001  every error becomes a status here
            self._end_with(error)
        finally:
            CURRENT_WORK.reset(token)

    def _on_outputs(self, _: "asyncio.Future[Any]") -> None:
        pending, self._pending = self._pending, None
        if pending is None:  # the call has ended
            return
        try:
            self._send(pending.finish())
            self._end_ok()
        except Exception as error:  # noqa: BLE001  as above
            self._end_with(error)
        except asyncio.CancelledError:
            self._on_handler_cancelled()

    def fail(self, error: Exception) -> None:
        """End the call with the status of an error and cancel its handler."""
        self._end_with(error)
        self._cancel_handler()

    def expire(self) -> None:
        """End the call because its deadline has passed."""
        self.fail(DeadlineExceededError("the deadline passed before the call was complete"))

    def cancel(self) -> None:
        """End the call because the caller has cancelled it or disconnected."""
        if not self.is_over:
            self._is_cancelled = True
            self._close(self._log_if_slow(self._cancel_code()))
            self._cancel_handler()

    async def _answer(self) -> None:
        method = self._method
        if method.client_streaming:
            await self._send_all(method.handle(self, self._requests))
        elif method.server_streaming:
            await self._send_all(method.handle(self, self._decode_request()))
        else:
            self._send(await method.handle(self, self._decode_request()))

    async def _send_all(self, responses: AsyncGenerator[Message, None]) -> None:
        """Send responses at the caller's pace; close their generator now, not when it is garbage collected."""
        try:
            async for response in responses:
                sending = self._send(response)
                if sending is not None:
                    await sending
        finally:
            await responses.aclose()

    def _decode_request(self) -> Message:
        request, self._request = self._request, None
        if request is None:
            raise UnreadableRequestError("the call ended before its request was complete")
        return self._method.decode(request)

    def _check_deadline(self) -> None:
        left = self.time_left()
        if left is not None and left <= 0:
            raise DeadlineExceededError("the deadline had passed before the call began")

    def _cancel_code(self) -> int:
        """Return the status code of a call whose caller no longer waits."""
        left = self.time_left()
        return int(code_pb2.CANCELLED if left is None or left > 0 else code_pb2.DEADLINE_EXCEEDED)

    def _on_handler_cancelled(self) -> None:
        """End a call whose handler the server has cancelled."""
        self._end_with(ProtocolError(code_pb2.CANCELLED, "the server cancelled work that the call waited for"))

    def _cancel_handler(self) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.cancel()

    def _end_ok(self) -> None:
        if not self.is_over:
            given = self.given_correlation_id
            self._end(code_pb2.OK, "", ((CORRELATION_HEADER, given),) if given else ())

    def _end_with(self, error: Exception) -> None:
        self._end_with_status_of(error)
        _drop_frames(error)

    def _end_with_status_of(self, error: Exception) -> None:
        if self.is_over:
            return
        if self.cancelled():  # no caller to report to
            self._close(self._cancel_code())
            return
        trailers = [(CORRELATION_HEADER, self.correlation_id)]
        if isinstance(error, ProtocolError):
            log_rejected(self.method, self.correlation_id, error.code, "")
            self._end(error.code, str(error), trailers)
        else:
            status = map_and_log(error, self)
            if status.code != code_pb2.INTERNAL:
                log_rejected(self.method, self.correlation_id, status.code, ErrorReason.Name(status.reason))
            details = status.to_proto().SerializeToString()
            self._end(status.code, status.message, [(STATUS_DETAILS, details), *trailers])

    def _end(self, code: int, message: str, trailers: Trailers) -> None:
        self._send_status(code, message, trailers)
        self._close(self._log_if_slow(code))

    def _log_if_slow(self, code: int) -> int:
        if time.perf_counter() - self._started_at > self._method.slow_seconds:
            log_slow(self.method, code, self._started_at, self)
        return code

    def _close(self, code: int) -> None:
        """Release what the call holds and count it; runs once."""
        self.is_over = True
        self._method.metrics.observe(code, self._started_at)
        if self.span is not None and ACTIVE:
            ACTIVE[0].end_call(self, code_pb2.Code.Name(code))

    def _start_span(self) -> None:
        ACTIVE[0].start_call(self, self.method, self.metadata.get(TRACEPARENT_HEADER, ""))


def number_call() -> str:
    """Return the correlation id of a call whose caller sent none."""
    return f"{_PROCESS_ID}{next(_CALL_NUMBERS):08x}"


def valid_or_new_id(given: str) -> str:
    """Return the correlation id that a caller sent, or a new one for one that it did not send, or that is too long."""
    return given if 0 < len(given) <= MAX_CORRELATION_ID else number_call()


def _drop_frames(error: BaseException | None) -> None:
    """Drop the tracebacks of a handled error: their frames hold the request, and an error may be part of a cycle."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
