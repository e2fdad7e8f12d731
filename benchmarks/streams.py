"""A load generator in a process of its own: streams, each over its own connection, that ask at steady times.

    python -m benchmarks.streams TARGET typed|open STREAMS RATE SECONDS REQUESTS_FILE

RATE is that of one stream, requests a second; REQUESTS_FILE is as for `load.py`. It says `connected` once every stream
has had an answer, waits for a line, asks for so many seconds, and prints one JSON object.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import uvloop

from benchmarks.frames import CallBrokenError, Connection
from benchmarks.load import requests_in
from inference.grpc_service_pb2 import ModelStreamInferResponse
from ondeck.v1.prediction_service_pb2 import StreamPredictResponse

AT_ONCE: Final = 50  # connections that are opened together
LONGEST_ANSWER: Final = 10.0  # seconds that answers are waited for after the last request
Response = StreamPredictResponse | ModelStreamInferResponse
METHODS: Final[dict[str, tuple[str, Any]]] = {
    "typed": ("/ondeck.v1.PredictionService/StreamPredict", StreamPredictResponse.FromString),
    "open": ("/inference.GRPCInferenceService/ModelStreamInfer", ModelStreamInferResponse.FromString),
}


@dataclass
class Tally:
    """What all streams saw; `late` is how much later than intended a request was sent, at most, in seconds."""

    millis: list[float] = field(default_factory=list)
    errors: int = 0
    unanswered: int = 0
    late: float = 0.0
    cpu_seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    def failed(self, text: str) -> None:
        """Count an error."""
        self.errors += 1
        if len(self.examples) < 5:
            self.examples.append(text[:500])


@dataclass(frozen=True, kw_only=True)
class Course:
    """What is asked of whom: so many streams, each with so many requests a second, for so many seconds."""

    target: str
    kind: str
    streams: int
    rate: float
    seconds: float


class Stream:
    """One connection with one stream."""

    def __init__(self, course: Course, bodies: Iterator[bytes], tally: Tally) -> None:
        self._course = course
        self._path, self._read = METHODS[course.kind]
        self._bodies = bodies
        self._tally = tally
        self._sent: deque[float] = deque()
        self._loop = asyncio.get_running_loop()
        self._first = self._loop.create_future()
        self._over = self._loop.create_future()

    async def connect(self) -> None:
        """Open the stream, and wait for its first answer."""
        host, _, port = self._course.target.rpartition(":")
        _, self._connection = await self._loop.create_connection(
            lambda: Connection(self._path, self._answered, self._ended), host.strip("[]"), int(port)
        )
        self._connection.send(next(self._bodies))
        await asyncio.wait_for(self._first, LONGEST_ANSWER)

    async def ask(self, begin: float) -> None:
        """Ask at steady times, the first of them by chance, and wait for the last answer."""
        every = 1 / self._course.rate
        first = begin + random.random() * every  # noqa: S311  no secret
        self._plan(first, begin + self._course.seconds)
        try:
            await asyncio.wait_for(self._over, self._course.seconds + LONGEST_ANSWER)
        except (CallBrokenError, TimeoutError) as broken:
            self._tally.failed(f"a stream broke: {broken!r}")
        self._tally.unanswered += len(self._sent)

    def close(self) -> None:
        """Let the connection go."""
        self._connection.close()

    def _send(self, due: float, end: float) -> None:
        if self._over.done():
            return
        if due >= end:
            self._connection.half_close()
            return
        self._tally.late = max(self._tally.late, time.perf_counter() - due)
        self._sent.append(due)
        try:
            self._connection.send(next(self._bodies))
        except CallBrokenError as broken:
            self._ended(broken)
        self._plan(due + 1 / self._course.rate, end)

    def _plan(self, due: float, end: float) -> None:
        self._loop.call_later(max(0.0, due - time.perf_counter()), self._send, due, end)

    def _answered(self, message: bytes) -> None:
        now = time.perf_counter()
        for error in _errors_in(self._read(message)):
            if error:
                self._tally.failed(error)
            if self._first.done():
                self._tally.millis.append((now - self._sent.popleft()) * 1000)
            else:
                self._first.set_result(None)

    def _ended(self, why: CallBrokenError | None) -> None:
        if self._over.done():
            return
        if why is None:
            self._over.set_result(None)
        else:
            self._over.set_exception(why)


def _errors_in(response: Response) -> list[str]:
    """Give for each answer of a message what went wrong, "" for nothing."""
    if isinstance(response, ModelStreamInferResponse):
        return [response.error_message]
    return [str(answer.error) if answer.HasField("error") else "" for answer in response.answers]


async def drive(course: Course, bodies: Iterator[bytes]) -> Tally:
    """Connect, wait for the word, ask."""
    tally = Tally()
    opened = [Stream(course, bodies, tally) for _ in range(course.streams)]
    for at in range(0, course.streams, AT_ONCE):
        await asyncio.gather(*(each.connect() for each in opened[at : at + AT_ONCE]))
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begin, busy = time.perf_counter() + 0.1, time.process_time()
    await asyncio.gather(*(each.ask(begin) for each in opened))
    tally.cpu_seconds = time.process_time() - busy
    for each in opened:
        each.close()
    return tally


def main() -> None:
    """Run as the command line says and print what was counted."""
    target, kind, streams, rate, seconds, path = sys.argv[1:]
    course = Course(target=target, kind=kind, streams=int(streams), rate=float(rate), seconds=float(seconds))
    tally = uvloop.run(drive(course, itertools.cycle(requests_in(Path(path)))))
    print(json.dumps(vars(tally)))


if __name__ == "__main__":
    main()
