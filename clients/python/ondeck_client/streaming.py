"""One stream, for programs with threads: gRPC's thread reads what is asked and sends it, the caller's hears answers."""

import random
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol

import grpc

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_client.stream_retry import IncompleteStreamError, StreamSession


class Call(Iterator[StreamPredictResponse], Protocol):
    """A call of gRPC's, as far as it is used here."""

    def cancel(self) -> object:
        """End it."""


Open = Callable[[Iterator[StreamPredictRequest], float | None], Call]


class Stream:
    """A stream that outlives its calls: each instance is asked until it is answered, and answered once, in order.

    A thread of gRPC's that waits for the caller's next instance cannot be stopped. So the threads of former calls may
    still be about; `_number` tells them that they are former ones, and what one of them reads is sent by the next.
    """

    def __init__(
        self, open_call: Open, requests: Iterable[StreamPredictRequest], resuming: StreamSession, timeout: float | None
    ) -> None:
        self._open = open_call
        self._requests = iter(requests)
        self._resuming = resuming
        self._unanswered = resuming.unanswered
        self._timeout = timeout
        self._until: float | None = None
        self._changed = threading.Condition()
        self._number = 0
        self._reading = False
        self._error: BaseException | None = None

    def answers(self) -> Generator[StreamAnswer, None, None]:
        """Give the answers; raise what the caller's own iterable raised after the answers to what it gave before."""
        self._until = None if self._timeout is None else time.monotonic() + self._timeout
        while self._has_work():
            call = self._open(self._of_next_call(), self._left())
            try:
                while (heard := self._hear(call)) is not None:
                    yield from heard
            finally:
                self._retire()
                call.cancel()
        if self._error is not None:
            raise self._error

    def _has_work(self) -> bool:
        """Wait, with no call open, until there is something to send, or somebody is needed to read on."""
        with self._changed:
            self._changed.wait_for(
                lambda: bool(self._unanswered) or self._unanswered.ended or not self._reading, self._left()
            )
            return not self._unanswered.done

    def _hear(self, call: Call) -> Sequence[StreamAnswer] | None:
        """Wait for answers; None: the call is over, and another may be opened now."""
        broken: grpc.RpcError = IncompleteStreamError("the server ended the stream without answering all of it")
        try:
            if (response := next(call, None)) is not None:
                return self._heard(response.answers)
        except grpc.RpcError as error:
            broken = error
        self._retire()
        with self._changed:
            waits = self._resuming.pause_after(broken, time.monotonic(), random.random())  # noqa: S311  no secret
        left = self._left()
        time.sleep(waits if left is None else min(waits, left))
        return None

    def _heard(self, answers: Sequence[StreamAnswer]) -> Sequence[StreamAnswer]:
        with self._changed:
            if self._resuming.heard(answers):
                self._changed.notify_all()
        return answers

    def _retire(self) -> None:
        """Tell the thread that sends for the call that it is over."""
        with self._changed:
            self._number += 1
            self._changed.notify_all()

    def _of_next_call(self) -> Iterator[StreamPredictRequest]:
        return iter(partial(self._next, self._number), None)

    def _next(self, number: int) -> StreamPredictRequest | None:
        """Wait for the next request of a call; None: it is over, or all is asked."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: number != self._number or self._can_go_on())
                if number != self._number:
                    return None
                if self._unanswered.unsent:
                    return self._unanswered.send()
                if self._unanswered.ended:
                    return None
                self._reading = True
            self._read()

    def _can_go_on(self) -> bool:
        unanswered = self._unanswered
        return unanswered.unsent or unanswered.ended or (unanswered.room and not self._reading)

    def _read(self) -> None:
        """Read one instance of the caller's; whoever has set `_reading` is the only one who does."""
        request = None
        try:
            request = next(self._requests, None)
        except BaseException as error:  # noqa: BLE001  raised again by the thread that hears the answers
            self._error = error
        with self._changed:
            self._reading = False
            if request is None:
                self._unanswered.ended = True
            else:
                self._unanswered.ask(request)
            self._changed.notify_all()

    def _left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())
