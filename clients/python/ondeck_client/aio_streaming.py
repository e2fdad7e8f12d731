"""A stream for asyncio: one task reads instances, a task of gRPC sends requests, the caller's task receives answers."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

import grpc

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_client.stream_retry import IncompleteStreamError, StreamSession


class AsyncStreamCall(Protocol):
    """The part of a gRPC call that is used here."""

    def __aiter__(self) -> AsyncIterator[StreamPredictResponse]: ...

    def cancel(self) -> object:
        """Cancel the call."""


OpenCall = Callable[[AsyncIterator[StreamPredictRequest], float | None], AsyncStreamCall]
Requests = Iterable[StreamPredictRequest] | AsyncIterable[StreamPredictRequest]


class AsyncStream:
    """A stream that may take several calls, as `ondeck_client.streaming.Stream`.

    A task of its own reads the caller's iterable: gRPC cancels the task that sends when its call fails, and that would
    end the iterable, too.
    """

    def __init__(self, open_call: OpenCall, requests: Requests, session: StreamSession, timeout: float | None) -> None:
        self._open_call = open_call
        self._requests = requests
        self._session = session
        self._pending = session.pending
        self._timeout = timeout
        self._deadline: float | None = None
        self._changed = asyncio.Event()
        self._call_number = 0
        self._error: BaseException | None = None

    async def answers(self) -> AsyncGenerator[StreamAnswer, None]:
        """Yield the answers; then raise the exception of the caller's iterable, if there was one."""
        self._deadline = None if self._timeout is None else time.monotonic() + self._timeout
        reader = asyncio.create_task(self._read_all())
        try:
            while await self._has_work():
                call = self._open_call(self._requests_of(self._call_number), self._seconds_left())
                try:
                    responses = aiter(call)
                    while (answers := await self._receive(responses)) is not None:
                        for answer in answers:
                            yield answer
                finally:
                    self._end_call()
                    call.cancel()
        finally:
            reader.cancel()
            await asyncio.wait([reader])
        if self._error is not None:
            raise self._error

    async def _has_work(self) -> bool:
        """Wait, without a call, for something to send or for the deadline; False: all instances are answered."""
        try:
            async with asyncio.timeout(self._seconds_left()):
                await self._wait_until(lambda: bool(self._pending) or self._pending.ended)
        except TimeoutError:
            return True
        return not self._pending.is_done

    async def _receive(self, responses: AsyncIterator[StreamPredictResponse]) -> Sequence[StreamAnswer] | None:
        """Wait for answers; None: the call has ended, and the pause before the next one is over."""
        failure: grpc.RpcError = IncompleteStreamError("the server ended the stream before it answered every instance")
        try:
            if (response := await anext(responses, None)) is not None:
                if self._session.on_answers(response.answers):
                    self._changed.set()
                return response.answers
        except grpc.RpcError as error:
            failure = error
        self._end_call()
        pause = self._session.on_failure(failure, time.monotonic(), random.random())  # noqa: S311  no secret
        left = self._seconds_left()
        await asyncio.sleep(pause if left is None else min(pause, left))
        return None

    def _end_call(self) -> None:
        """Stop the task that sends requests of the current call."""
        self._call_number += 1
        self._changed.set()

    async def _requests_of(self, number: int) -> AsyncIterator[StreamPredictRequest]:
        """Yield the requests of a call until the call ends or everything is sent."""
        pending = self._pending
        while True:
            await self._wait_until(lambda: number != self._call_number or pending.has_unsent or pending.ended)
            if number != self._call_number or not pending.has_unsent:
                return
            request = pending.next_unsent()
            self._changed.set()
            yield request

    async def _read_all(self) -> None:
        """Read the caller's instances, each after the previous one is sent."""
        try:
            if isinstance(self._requests, AsyncIterable):
                async for request in self._requests:
                    await self._append(request)
            else:
                for request in self._requests:
                    await self._append(request)
        except BaseException as error:  # noqa: BLE001  raised again by the task that receives the answers
            self._error = error
        self._pending.ended = True
        self._changed.set()

    async def _append(self, request: StreamPredictRequest) -> None:
        self._pending.append(request)
        self._changed.set()
        await self._wait_until(lambda: self._pending.has_room and not self._pending.has_unsent)

    async def _wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
