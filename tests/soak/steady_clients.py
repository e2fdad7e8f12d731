"""Clients that call at a constant rate, in a process of their own, and check every response.

    python -m tests.soak.steady_clients TARGET MODELS RATE

RATE calls a second use the Python client, a fifth as many use a channel without retries, and one stream of the client
runs beside them. Prints `started`, calls until standard input ends, and prints the counts as JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import numpy as np
import uvloop

from ondeck.v1.prediction_service_pb2 import Prediction
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import AsyncClient, BattedBall
from tests.soak.cancelling_clients import SERVED
from tests.soak.client_processes import print_line
from tests.soak.expected import ExpectedResults

CONNECTIONS: Final = 4
PLAIN_EVERY: Final = 5
STREAMED_EVERY: Final = 0.05  # seconds
_DEADLINE = 20.0
_OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
_PLAIN = (_OWN_CONNECTION, ("grpc.enable_retries", 0))


@dataclass
class SteadyCounts:
    """Counts of calls by way: `client`, `plain` (a channel without retries) and `stream`."""

    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)
    lost: dict[str, Counter[str]] = field(default_factory=lambda: {"client": Counter(), "plain": Counter()})
    versions: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    send_delay: float = 0.0  # longest time between due and sent, in seconds


class SteadyLoad:
    """Starts calls at a constant rate, however long earlier calls take (open loop)."""

    def __init__(self, target: str, models: Path, rate: float) -> None:
        self._expected = ExpectedResults(models, SERVED)
        self._rate = rate
        self._clients = [AsyncClient(target, timeout=_DEADLINE, options=[_OWN_CONNECTION]) for _ in range(CONNECTIONS)]
        self._channels = [grpc.aio.insecure_channel(target, _PLAIN) for _ in range(CONNECTIONS)]
        self._plain = [PredictionServiceStub(channel) for channel in self._channels]
        self._calls: set[asyncio.Task[None]] = set()
        self.seen = SteadyCounts()
        self.is_over = asyncio.Event()

    async def run(self) -> None:
        """Start calls until `is_over` is set, and wait for all of them."""
        self._start(self._stream())
        begin, number = time.perf_counter(), 0
        while not self.is_over.is_set():
            due = begin + number / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.seen.send_delay = max(self.seen.send_delay, time.perf_counter() - due)
            self._start(self._call_client(number))
            if number % PLAIN_EVERY == 0:
                self._start(self._call_plain(number))
            number += 1
        await asyncio.gather(*self._calls)
        await asyncio.gather(*(each.close() for each in self._clients), *(each.close() for each in self._channels))

    def _start(self, call: Awaitable[None]) -> None:
        task = asyncio.ensure_future(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _call_client(self, number: int) -> None:
        client, at = self._clients[number % CONNECTIONS], number % len(self._expected)
        await self._call("client", at, client.predict(SERVED, self._ball(at)))

    async def _call_plain(self, number: int) -> None:
        async def predict() -> Prediction:
            return (await stub.Predict(self._expected.predict(at), timeout=_DEADLINE)).prediction

        stub, at = self._plain[number // PLAIN_EVERY % CONNECTIONS], number % len(self._expected)
        await self._call("plain", at, predict())

    async def _call(self, way: str, at: int, call: Awaitable[Prediction]) -> None:
        self.seen.sent[way] += 1
        try:
            self._check(way, at, await call)
        except grpc.aio.AioRpcError as lost:
            self.seen.lost[way][f"{lost.code().name}: {lost.details()}"] += 1

    async def _stream(self) -> None:
        async def balls() -> AsyncIterator[tuple[str, BattedBall]]:
            number = 0
            while not self.is_over.is_set():
                self.seen.sent["stream"] += 1
                yield str(number), self._ball(number % len(self._expected))
                number += 1
                await asyncio.sleep(STREAMED_EVERY)

        async for answer in self._clients[0].stream(SERVED, balls()):
            self._check("stream", int(answer.id) % len(self._expected), answer.prediction)

    def _check(self, way: str, at: int, prediction: Prediction) -> None:
        version = prediction.answered_by.version
        self.seen.received[way] += 1
        self.seen.versions[version] += 1
        given = np.array([[each.probability for each in prediction.outcomes]])
        if not self._expected.matches(version, at, given):
            self.seen.wrong += 1

    def _ball(self, at: int) -> BattedBall:
        return self._expected.predict(at).batted_ball


async def run(target: str, models: Path, rate: float) -> SteadyCounts:
    """Run the load until standard input ends."""
    steady = SteadyLoad(target, models, rate)
    running = asyncio.create_task(steady.run())
    print_line("started")
    await asyncio.to_thread(sys.stdin.read)
    steady.is_over.set()
    await running
    return steady.seen


def main() -> None:
    """Run as the arguments request."""
    target, models, rate = sys.argv[1:]
    print_line(json.dumps(vars(uvloop.run(run(target, Path(models), float(rate))))))


if __name__ == "__main__":
    main()
