"""Callers who ask at a steady rate, in a process of their own, and check every answer.

    python -m tests.soak.steady_load TARGET MODELS RATE

So many calls a second go through the client of this project, a fifth as many through a channel that repeats nothing;
beside them runs one stream of the client's. They say `asking`, ask until standard input ends, and print as
JSON what they saw.
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
from tests.soak.client_process import STEADY
from tests.soak.expected import Known
from tests.soak.subprocesses import say

CONNECTIONS: Final = 4
PLAIN_EVERY: Final = 5
STREAMED_EVERY: Final = 0.05  # seconds
_DEADLINE = 20.0
_APART = ("grpc.use_local_subchannel_pool", 1)
_PLAIN = (_APART, ("grpc.enable_retries", 0))


@dataclass
class Seen:
    """What callers saw: through the client, through a plain channel, and in a stream of the client's."""

    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    lost: dict[str, Counter[str]] = field(default_factory=lambda: {"client": Counter(), "plain": Counter()})
    versions: Counter[int] = field(default_factory=Counter)
    wrong: int = 0
    late: float = 0.0  # seconds between when a call should have begun and when it did, at most


class Steady:
    """A clock that lets calls begin, however long those before them take."""

    def __init__(self, target: str, models: Path, rate: float) -> None:
        self._known = Known(models, STEADY)
        self._rate = rate
        self._clients = [AsyncClient(target, timeout=_DEADLINE, options=[_APART]) for _ in range(CONNECTIONS)]
        self._channels = [grpc.aio.insecure_channel(target, _PLAIN) for _ in range(CONNECTIONS)]
        self._plain = [PredictionServiceStub(channel) for channel in self._channels]
        self._calls: set[asyncio.Task[None]] = set()
        self.seen = Seen()
        self.over = asyncio.Event()

    async def ask(self) -> None:
        """Let calls begin until it is over, and wait for their ends."""
        self._begin(self._stream())
        begin, number = time.perf_counter(), 0
        while not self.over.is_set():
            due = begin + number / self._rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            self.seen.late = max(self.seen.late, time.perf_counter() - due)
            self._begin(self._through_client(number))
            if number % PLAIN_EVERY == 0:
                self._begin(self._through_plain(number))
            number += 1
        await asyncio.gather(*self._calls)
        await asyncio.gather(*(each.close() for each in self._clients), *(each.close() for each in self._channels))

    def _begin(self, call: Awaitable[None]) -> None:
        task = asyncio.ensure_future(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _through_client(self, number: int) -> None:
        client, at = self._clients[number % CONNECTIONS], number % len(self._known)
        await self._call("client", at, client.predict(STEADY, self._ball(at)))

    async def _through_plain(self, number: int) -> None:
        async def ask() -> Prediction:
            return (await stub.Predict(self._known.predict(at), timeout=_DEADLINE)).prediction

        stub, at = self._plain[number // PLAIN_EVERY % CONNECTIONS], number % len(self._known)
        await self._call("plain", at, ask())

    async def _call(self, way: str, at: int, call: Awaitable[Prediction]) -> None:
        self.seen.asked[way] += 1
        try:
            self._check(way, at, await call)
        except grpc.aio.AioRpcError as lost:
            self.seen.lost[way][f"{lost.code().name}: {lost.details()}"] += 1

    async def _stream(self) -> None:
        async def balls() -> AsyncIterator[tuple[str, BattedBall]]:
            number = 0
            while not self.over.is_set():
                self.seen.asked["stream"] += 1
                yield str(number), self._ball(number % len(self._known))
                number += 1
                await asyncio.sleep(STREAMED_EVERY)

        async for answer in self._clients[0].stream(STEADY, balls()):
            self._check("stream", int(answer.id) % len(self._known), answer.prediction)

    def _check(self, way: str, at: int, prediction: Prediction) -> None:
        version = prediction.answered_by.version
        self.seen.answered[way] += 1
        self.seen.versions[version] += 1
        given = np.array([[each.probability for each in prediction.outcomes]])
        if not self._known.right(version, at, given):
            self.seen.wrong += 1

    def _ball(self, at: int) -> BattedBall:
        return self._known.predict(at).batted_ball


async def run(target: str, models: Path, rate: float) -> Seen:
    """Ask until standard input ends."""
    steady = Steady(target, models, rate)
    asking = asyncio.create_task(steady.ask())
    say("asking")
    await asyncio.to_thread(sys.stdin.read)
    steady.over.set()
    await asking
    return steady.seen


def main() -> None:
    """Run as the command line says."""
    target, models, rate = sys.argv[1:]
    say(json.dumps(vars(uvloop.run(run(target, Path(models), float(rate))))))


if __name__ == "__main__":
    main()
