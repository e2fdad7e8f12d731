"""A stream for threads: a thread of gRPC reads instances and sends requests, the caller's thread receives answers."""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import grpc

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_client.stream_retry import IncompleteStreamError, StreamSession


class StreamCall(Iterator[StreamPredictResponse], Protocol):
    """The part of a gRPC call that is used here."""

    def cancel(self) -> object:
        """Cancel the call."""


OpenCall = Callable[[Iterator[StreamPredictRequest], float | None], StreamCall]


class Stream:
    """A stream that may take several calls: each instance is sent until it is answered, and answered once, in order.

    A thread of gRPC that waits for the caller's next instance cannot be stopped, so threads of earlier calls may still
    run. `_call_number` marks them as outdated; an instance that one of them reads is sent by the next call.
    """

    def __init__(
        self,
        open_call: OpenCall,
        requests: Iterable[StreamPredictRequest],
        session: StreamSession,
        timeout: float | None,
    ) -> None:
        self._open_call = open_call
        self._requests = iter(requests)
        self._session = session
        self._pending = session.pending
        self._timeout = timeout
        self._deadline: float | None = None
        self._changed = threading.Condition()
        self._call_number = 0
        self._is_reading = False
        self._error: BaseException | None = None

    def answers(self) -> Generator[StreamAnswer, None, None]:
        """Yield the answers; then raise the exception of the caller's iterable, if there was one."""
        self._deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while self._has_work():
            requests = iter(partial(self._next_request, self._call_number), None)
            call = self._open_call(requests, self._seconds_left())
            try:
                while (answers := self._receive(call)) is not None:
                    yield from answers
            finally:
                self._end_call()
                call.cancel()
        if self._error is not None:
            raise self._error

    def _has_work(self) -> bool:
        """Wait, without a call, for something to send or for a need to read; False: all instances are answered."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._pending) or self._pending.ended or not self._is_reading, self._seconds_left()
            )
            return not self._pending.is_done

    def _receive(self, call: StreamCall) -> Sequence[StreamAnswer] | None:
        """Wait for answers; None: the call has ended, and the pause before the next one is over."""
        failure: grpc.RpcError = IncompleteStreamError("the server ended the stream before it answered every instance")
        try:
            if (response := next(call, None)) is not None:
                with self._changed:
                    if self._session.on_answers(response.answers):
                        self._changed.notify_all()
                return response.answers
        except grpc.RpcError as error:
            failure = error
        self._end_call()
        with self._changed:
            pause = self._session.on_failure(failure, time.monotonic(), random.random())  # noqa: S311  no secret
        left = self._seconds_left()
        time.sleep(pause if left is None else min(pause, left))
        return None

    def _end_call(self) -> None:
        """Stop the thread that sends requests of the current call."""
        with self._changed:
            self._call_number += 1
            self._changed.notify_all()

    def _next_request(self, number: int) -> StreamPredictRequest | None:
        """Wait for the next request of a call; None: the call has ended, or everything is sent."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: number != self._call_number or self._can_proceed())
                if number != self._call_number:
                    return None
                if self._pending.has_unsent:
                    return self._pending.next_unsent()
                if self._pending.ended:
                    return None
                self._is_reading = True
            self._read_one()

    def _can_proceed(self) -> bool:
        pending = self._pending
        return pending.has_unsent or pending.ended or (pending.has_room and not self._is_reading)

    def _read_one(self) -> None:
        """Read one instance of the caller; only the thread that set `_is_reading` calls this."""
        request = None
        try:
            request = next(self._requests, None)
        except BaseException as error:  # noqa: BLE001  raised again by the thread that receives the answers
            self._error = error
        with self._changed:
            self._is_reading = False
            if request is None:
                self._pending.ended = True
            else:
                self._pending.append(request)
            self._changed.notify_all()

    def _seconds_left(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
