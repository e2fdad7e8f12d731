"""A closed-loop load generator in a process of its own: so many calls in flight, for so many seconds.

    python benchmarks/load.py TARGET MODE IN_FLIGHT SECONDS REQUESTS_FILE

REQUESTS_FILE holds length-delimited request messages, made beforehand and sent in rotation as they are, so that the
generator spends as little as it can. Prints one JSON object.
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


def requests_in(path: Path) -> list[bytes]:
    """Read the messages, each behind its length as four bytes."""
    data, at, found = path.read_bytes(), 0, []
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


class Tally:
    """Latencies of the calls that ended after the warm-up."""

    def __init__(self, seconds: float) -> None:
        self.begin = time.perf_counter() + min(1.0, seconds / 3)
        self.end = self.begin + seconds
        self.latencies: list[float] = []

    def going(self) -> bool:
        """Tell whether there is time for another call."""
        return time.perf_counter() < self.end

    def add(self, started: float) -> None:
        """Count one call."""
        now = time.perf_counter()
        if started >= self.begin and now <= self.end:
            self.latencies.append(now - started)


async def call_after_call(channel: grpc.aio.Channel, method: str, bodies: Iterator[bytes], tally: Tally) -> None:
    """Keep one unary call in flight."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(SERVICE + method)
    while tally.going():
        started = time.perf_counter()
        await call(next(bodies))
        tally.add(started)


async def one_stream(channel: grpc.aio.Channel, bodies: Iterator[bytes], in_flight: int, tally: Tally) -> None:
    """Keep so many instances in flight on one stream; each message of answers makes room for as many as it holds."""
    open_stream: grpc.aio.StreamStreamMultiCallable[bytes, StreamPredictResponse] = channel.stream_stream(
        SERVICE + "StreamPredict", response_deserializer=StreamPredictResponse.FromString
    )
    stream = open_stream()
    sent: list[float] = []
    for _ in range(in_flight):
        sent.append(time.perf_counter())
        await stream.write(next(bodies))
    answered = 0
    while tally.going():
        message = await stream.read()
        assert isinstance(message, StreamPredictResponse), "the server ended the stream"  # noqa: S101  a benchmark
        for _ in message.answers:
            tally.add(sent[answered])
            answered += 1
            sent.append(time.perf_counter())
            await stream.write(next(bodies))
    stream.cancel()


async def drive(target: str, mode: str, in_flight: int, tally: Tally, bodies: Iterator[bytes]) -> None:
    """Run one mode until its time is over."""
    async with grpc.aio.insecure_channel(target) as channel:
        if mode == "stream":
            await asyncio.gather(*(one_stream(channel, bodies, in_flight // STREAMS, tally) for _ in range(STREAMS)))
        else:
            method = {"unary": "Predict", "batch": "BatchPredict"}[mode]
            await asyncio.gather(*(call_after_call(channel, method, bodies, tally) for _ in range(in_flight)))


def main() -> None:
    """Run as the command line says and print what was counted."""
    target, mode, in_flight, seconds, path = sys.argv[1:]
    tally = Tally(float(seconds))
    asyncio.run(drive(target, mode, int(in_flight), tally, itertools.cycle(requests_in(Path(path)))))
    millis = np.array(tally.latencies) * 1e3
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
