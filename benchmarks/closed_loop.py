"""A closed-loop load generator in a process of its own: a fixed number of calls in flight, for some seconds.

    python benchmarks/closed_loop.py TARGET MODE IN_FLIGHT SECONDS REQUESTS_FILE

REQUESTS_FILE holds length-delimited request messages, sent in rotation without any encoding, so that the generator
uses as little CPU as possible. Prints one JSON object.
"""

import asyncio
import itertools
import json
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np

from ondeck.v1.prediction_service_pb2 import StreamPredictResponse

SERVICE = "/ondeck.v1.PredictionService/"
STREAMS = 4


def read_requests(path: Path) -> list[bytes]:
    """Read messages, each after its length as four bytes, little-endian."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


class LatencyRecorder:
    """Latencies, in seconds, of the calls that start and end after the warm-up."""

    def __init__(self, seconds: float) -> None:
        self.begin = time.perf_counter() + min(1.0, seconds / 3)
        self.end = self.begin + seconds
        self.latencies: list[float] = []

    def has_time(self) -> bool:
        """Return whether there is time for another call; there is until one was recorded."""
        return time.perf_counter() < self.end or not self.latencies

    def add(self, started: float) -> None:
        """Record a call that ends now."""
        now = time.perf_counter()
        if started >= self.begin and (now <= self.end or not self.latencies):
            self.latencies.append(now - started)


async def repeat_unary(
    channel: grpc.aio.Channel, method: str, bodies: Iterator[bytes], recorder: LatencyRecorder
) -> None:
    """Keep one unary call in flight."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SERVICE + method)
    while recorder.has_time():
        started = time.perf_counter()
        await call(next(bodies))
        recorder.add(started)


async def run_stream(
    channel: grpc.aio.Channel, bodies: Iterator[bytes], in_flight: int, recorder: LatencyRecorder
) -> None:
    """Keep `in_flight` instances in flight on one stream: for each result, send another instance."""
    open_stream: grpc.aio.StreamStreamMultiCallable[bytes, StreamPredictResponse] = channel.stream_stream(
        SERVICE + "StreamPredict", response_deserializer=StreamPredictResponse.FromString
    )
    stream = open_stream()
    sent: list[float] = []
    for _ in range(in_flight):
        sent.append(time.perf_counter())
        await stream.write(next(bodies))
    received = 0
    while recorder.has_time():
        message = await stream.read()
        assert isinstance(message, StreamPredictResponse), "the server ended the stream"  # noqa: S101  a benchmark
        for _ in message.answers:
            recorder.add(sent[received])
            received += 1
            sent.append(time.perf_counter())
            await stream.write(next(bodies))
    stream.cancel()


async def drive(target: str, mode: str, in_flight: int, recorder: LatencyRecorder, bodies: Iterator[bytes]) -> None:
    """Run one mode until its time is over."""
    async with grpc.aio.insecure_channel(target) as channel:
        if mode == "stream":
            await asyncio.gather(*(run_stream(channel, bodies, in_flight // STREAMS, recorder) for _ in range(STREAMS)))
        else:
            method = {"unary": "Predict", "batch": "BatchPredict"}[mode]
            await asyncio.gather(*(repeat_unary(channel, method, bodies, recorder) for _ in range(in_flight)))


def main() -> None:
    """Run as the arguments request and print the result."""
    target, mode, in_flight, seconds, path = sys.argv[1:]
    recorder = LatencyRecorder(float(seconds))
    asyncio.run(drive(target, mode, int(in_flight), recorder, itertools.cycle(read_requests(Path(path)))))
    millis = np.array(recorder.latencies) * 1e3
    print(
        json.dumps(
            {
                "calls_per_second": len(millis) / float(seconds),
                "p50_ms": float(np.percentile(millis, 50)),
                "p99_ms": float(np.percentile(millis, 99)),
            }
        )
    )


if __name__ == "__main__":
    main()
