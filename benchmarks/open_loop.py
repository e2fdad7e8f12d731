"""An open-loop load generator in a process of its own: streams, each on its own connection, at a constant rate.

    python -m benchmarks.open_loop TARGET typed|open STREAMS RATE SECONDS REQUESTS_FILE

RATE is that of one stream, in requests a second; REQUESTS_FILE is as for `closed_loop.py`. Prints `connected` once
every stream has received a response, waits for a line on standard input, sends for SECONDS, and prints one JSON object.
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

from benchmarks.closed_loop import read_requests
from benchmarks.http2_call import CallBrokenError, Connection
from inference.grpc_service_pb2 import ModelStreamInferResponse
from ondeck.v1.prediction_service_pb2 import StreamPredictResponse

CONNECT_BATCH: Final = 50  # connections that are opened together
RESPONSE_TIMEOUT: Final = 10.0  # seconds to wait for responses after the last request
Response = StreamPredictResponse | ModelStreamInferResponse
METHODS: Final[dict[str, tuple[str, Any]]] = {
    "typed": ("/ondeck.v1.PredictionService/StreamPredict", StreamPredictResponse.FromString),
    "open": ("/inference.GRPCInferenceService/ModelStreamInfer", ModelStreamInferResponse.FromString),
}


@dataclass
class LoadResult:
    """Results of all streams; `send_delay` is the longest time between due and sent, in seconds."""

    millis: list[float] = field(default_factory=list)
    errors: int = 0
    unanswered: int = 0
    send_delay: float = 0.0
    cpu_seconds: float = 0.0
    examples: list[str] = field(default_factory=list)

    def add_error(self, text: str) -> None:
        """Count an error."""
        self.errors += 1
        if len(self.examples) < 5:
            self.examples.append(text[:500])


@dataclass(frozen=True, kw_only=True)
class StreamLoad:
    """Address, kind of stream, number of streams, and rate of each in requests a second, for some seconds."""

    target: str
    kind: str
    streams: int
    rate: float
    seconds: float


class LoadStream:
    """One connection with one stream."""

    def __init__(self, load: StreamLoad, bodies: Iterator[bytes], result: LoadResult) -> None:
        self._load = load
        self._path, self._read = METHODS[load.kind]
        self._bodies = bodies
        self._result = result
        self._sent: deque[float] = deque()
        self._loop = asyncio.get_running_loop()
        self._first = self._loop.create_future()
        self._ended_future = self._loop.create_future()

    async def connect(self) -> None:
        """Open the stream and wait for its first response."""
        host, _, port = self._load.target.rpartition(":")
        _, self._connection = await self._loop.create_connection(
            lambda: Connection(self._path, self._on_message, self._on_end), host.strip("[]"), int(port)
        )
        self._connection.send(next(self._bodies))
        await asyncio.wait_for(self._first, RESPONSE_TIMEOUT)

    async def run(self, begin: float) -> None:
        """Send at fixed intervals from a random offset on, and wait for the last response."""
        interval = 1 / self._load.rate
        first = begin + random.random() * interval  # noqa: S311  no secret
        self._schedule(first, begin + self._load.seconds)
        try:
            await asyncio.wait_for(self._ended_future, self._load.seconds + RESPONSE_TIMEOUT)
        except (CallBrokenError, TimeoutError) as broken:
            self._result.add_error(f"a stream failed: {broken!r}")
        self._result.unanswered += len(self._sent)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _send(self, due: float, end: float) -> None:
        if self._ended_future.done():
            return
        if due >= end:
            self._connection.half_close()
            return
        self._result.send_delay = max(self._result.send_delay, time.perf_counter() - due)
        self._sent.append(due)
        try:
            self._connection.send(next(self._bodies))
        except CallBrokenError as broken:
            self._on_end(broken)
        self._schedule(due + 1 / self._load.rate, end)

    def _schedule(self, due: float, end: float) -> None:
        self._loop.call_later(max(0.0, due - time.perf_counter()), self._send, due, end)

    def _on_message(self, message: bytes) -> None:
        now = time.perf_counter()
        for error in _errors_in(self._read(message)):
            if error:
                self._result.add_error(error)
            if self._first.done():
                self._result.millis.append((now - self._sent.popleft()) * 1000)
            else:
                self._first.set_result(None)

    def _on_end(self, error: CallBrokenError | None) -> None:
        if self._ended_future.done():
            return
        if error is None:
            self._ended_future.set_result(None)
        else:
            self._ended_future.set_exception(error)


def _errors_in(response: Response) -> list[str]:
    """Return the error text of each result of a message, "" for success."""
    if isinstance(response, ModelStreamInferResponse):
        return [response.error_message]
    return [str(answer.error) if answer.HasField("error") else "" for answer in response.answers]


async def drive(load: StreamLoad, bodies: Iterator[bytes]) -> LoadResult:
    """Connect, wait for the start line, run the load."""
    result = LoadResult()
    streams = [LoadStream(load, bodies, result) for _ in range(load.streams)]
    for at in range(0, load.streams, CONNECT_BATCH):
        await asyncio.gather(*(each.connect() for each in streams[at : at + CONNECT_BATCH]))
    print("connected", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    begin, cpu = time.perf_counter() + 0.1, time.process_time()
    await asyncio.gather(*(each.run(begin) for each in streams))
    result.cpu_seconds = time.process_time() - cpu
    for each in streams:
        each.close()
    return result


def main() -> None:
    """Run as the arguments request and print the result."""
    target, kind, streams, rate, seconds, path = sys.argv[1:]
    load = StreamLoad(target=target, kind=kind, streams=int(streams), rate=float(rate), seconds=float(seconds))
    result = uvloop.run(drive(load, itertools.cycle(read_requests(Path(path)))))
    print(json.dumps(vars(result)))


if __name__ == "__main__":
    main()
