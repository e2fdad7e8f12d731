"""One stream, for programs on asyncio: a task reads what is asked, gRPC's sends it, the caller's hears answers."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from typing import Protocol

import grpc

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_client.stream_retry import IncompleteStreamError, StreamSession


class Call(Protocol):
    """A call of gRPC's, as far as it is used here."""

    def __aiter__(self) -> AsyncIterator[StreamPredictResponse]: ...

    def cancel(self) -> object:
        """End it."""


Open = Callable[[AsyncIterator[StreamPredictRequest], float | None], Call]
Requests = Iterable[StreamPredictRequest] | AsyncIterable[StreamPredictRequest]


class AsyncStream:
    """A stream that outlives its calls, as `ondeck_client.streaming.Stream`.

    The caller's iterable is read by a task of its own: gRPC cancels the one that sends when its call breaks, and that
    would end the iterable with it.
    """

    def __init__(self, open_call: Open, requests: Requests, resuming: StreamSession, timeout: float | None) -> None:
        self._open = open_call
        self._requests = requests
        self._resuming = resuming
        self._unanswered = resuming.unanswered
        self._timeout = timeout
        self._until: float | None = None
        self._changed = asyncio.Event()
        self._number = 0
        self._error: BaseException | None = None

    async def answers(self) -> AsyncGenerator[StreamAnswer, None]:
        """Give the answers; raise what the caller's own iterable raised after the answers to what it gave before."""
        self._until = None if self._timeout is None else time.monotonic() + self._timeout
        reading = asyncio.create_task(self._read())
        try:
            while await self._has_work():
                call = self._open(self._of_call(self._number), self._left())
                try:
                    responses = aiter(call)
                    while (heard := await self._hear(responses)) is not None:
                        for answer in heard:
                            yield answer
                finally:
                    self._retire()
                    call.cancel()
        finally:
            reading.cancel()
            await asyncio.wait([reading])
        if self._error is not None:
            raise self._error

    async def _has_work(self) -> bool:
        """Wait, with no call open, until there is something to send, or no more time."""
        try:
            async with asyncio.timeout(self._left()):
                await self._wait_until(lambda: bool(self._unanswered) or self._unanswered.ended)
        except TimeoutError:
            return True
        return not self._unanswered.done

    async def _hear(self, responses: AsyncIterator[StreamPredictResponse]) -> Sequence[StreamAnswer] | None:
        """Wait for answers; None: the call is over, and another may be opened now."""
        broken: grpc.RpcError = IncompleteStreamError("the server ended the stream without answering all of it")
        try:
            if (response := await anext(responses, None)) is not None:
                return self._heard(response.answers)
        except grpc.RpcError as error:
            broken = error
        self._retire()
        waits = self._resuming.pause_after(broken, time.monotonic(), random.random())  # noqa: S311  no secret
        left = self._left()
        await asyncio.sleep(waits if left is None else min(waits, left))
        return None

    def _heard(self, answers: Sequence[StreamAnswer]) -> Sequence[StreamAnswer]:
        if self._resuming.heard(answers):
            self._changed.set()
        return answers

    def _retire(self) -> None:
        """Tell the task that sends for the call that it is over."""
        self._number += 1
        self._changed.set()

    async def _of_call(self, number: int) -> AsyncIterator[StreamPredictRequest]:
        """Give the requests of a call, until it is over or all is asked."""
        unanswered = self._unanswered
        while True:
            await self._wait_until(lambda: number != self._number or unanswered.unsent or unanswered.ended)
            if number != self._number or not unanswered.unsent:
                return
            request = unanswered.send()
            self._changed.set()
            yield request

    async def _read(self) -> None:
        """Read what the caller asks, each when the one before is sent."""
        try:
            if isinstance(self._requests, AsyncIterable):
                async for request in self._requests:
                    await self._ask(request)
            else:
                for request in self._requests:
                    await self._ask(request)
        except BaseException as error:  # noqa: BLE001  raised again by the task that hears the answers
            self._error = error
        self._unanswered.ended = True
        self._changed.set()

    async def _ask(self, request: StreamPredictRequest) -> None:
        self._unanswered.ask(request)
        self._changed.set()
        await self._wait_until(lambda: self._unanswered.room and not self._unanswered.unsent)

    async def _wait_until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()

    def _left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())
