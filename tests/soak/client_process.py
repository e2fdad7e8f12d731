"""Callers of whom most go away before they are answered, in a process of their own; every answer they get is checked.

    python -m tests.soak.client_process TARGET MODELS CALLERS CANCELS

They say `asking`, ask in every way there is until standard input ends, and print as JSON what they counted; `enough`
they say once CANCELS calls were cancelled.
"""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import uvloop

from inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck.v1.prediction_service_pb2 import Prediction, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.soak.expected import Known
from tests.soak.subprocesses import say

STEADY: Final = "batted_ball"  # of which a version always serves
UNSTEADY: Final = "whiff"  # which is unloaded from time to time
DEADLINE: Final = 30.0  # seconds; a call that is not over by then hangs
CONNECTIONS: Final = 4
_SLACK = 10.0
_GIVE_UP = 0.7  # of all calls
_PATIENCE = 0.004  # seconds, in the mean, of who gives up
_LONGEST_STREAM = 40
_BATCHES = (2, 40, 300, 700)  # rows: the small ones go first, the last two take more than one run
_TOLD = 5  # of what is wrong, for people


@dataclass
class Seen:
    """What callers saw. `absent` are calls of the unsteady model while it was unloaded."""

    cancelled: int = 0
    hung: int = 0
    absent: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def check(self, kind: str, right: bool, version: int) -> None:  # noqa: FBT001  said by the name of the method
        """Count an answer of a version."""
        self.answers[kind] += 1
        self.versions[version] += 1
        if not right:
            self.wrong += 1
            self.tell(f"{kind}: not what version {version} says")

    def tell(self, text: str) -> None:
        """Keep an example of what is wrong."""
        if len(self.examples) < _TOLD:
            self.examples.append(text)


class Callers:
    """They share a few connections."""

    def __init__(self, channels: list[grpc.aio.Channel], models: Path, cancels: int) -> None:
        self._predictions = [PredictionServiceStub(channel) for channel in channels]
        self._tensors = [GRPCInferenceServiceStub(channel) for channel in channels]
        self._steady, self._unsteady = Known(models, STEADY), Known(models, UNSTEADY)
        self._cancels = cancels
        self._draw = random.Random(7)  # noqa: S311  no secret
        self.seen = Seen()
        self.over = False

    async def ask(self) -> None:
        """Make one call after the other."""
        ways = (self._one, self._one, self._many, self._stream, self._tensor, self._tensor_stream, self._unloaded)
        while not self.over:
            await self._draw.choice(ways)()

    async def _one(self) -> None:
        at = self._draw.randrange(len(self._steady))

        async def answered(call: Any) -> None:
            self._check("Predict", at, (await call).prediction)

        stub = self._draw.choice(self._predictions)
        await self._until_its_end(stub.Predict(self._steady.predict(at), timeout=DEADLINE), answered)

    async def _many(self) -> None:
        at, rows = self._draw.randrange(len(self._steady)), self._draw.choice(_BATCHES)

        async def answered(call: Any) -> None:
            answer = await call
            given = np.array(answer.probabilities).reshape(rows, -1)
            version = answer.answered_by.version
            self.seen.check("BatchPredict", self._steady.right(version, at, given), version)

        stub = self._draw.choice(self._predictions)
        await self._until_its_end(stub.BatchPredict(self._steady.batch(at, rows), timeout=DEADLINE), answered)

    async def _stream(self) -> None:
        places = self._places()

        async def requests() -> AsyncIterator[StreamPredictRequest]:
            for number, at in enumerate(places):
                await self._pause()
                yield self._steady.in_stream(str(number), at)

        async def answered(call: Any) -> None:
            ids = []
            async for response in call:
                for answer in response.answers:
                    ids.append(answer.id)
                    if answer.HasField("error"):
                        self._failed(f"StreamPredict {answer.error.code}", answer.error.message)
                    else:
                        self._check("StreamPredict", places[int(answer.id)], answer.prediction)
            self._expect_all(ids, places)

        stub: Any = self._draw.choice(self._predictions)
        await self._until_its_end(stub.StreamPredict(requests(), timeout=DEADLINE), answered)

    async def _tensor(self) -> None:
        at, rows = self._draw.randrange(len(self._steady)), self._draw.choice(_BATCHES)

        async def answered(call: Any) -> None:
            self._check_tensors(self._steady, "ModelInfer", at, await call)

        stub = self._draw.choice(self._tensors)
        await self._until_its_end(stub.ModelInfer(self._steady.infer("", at, rows), timeout=DEADLINE), answered)

    async def _tensor_stream(self) -> None:
        places = self._places()

        async def requests() -> AsyncIterator[ModelInferRequest]:
            for number, at in enumerate(places):
                await self._pause()
                yield self._steady.infer(str(number), at, 1)

        async def answered(call: Any) -> None:
            ids = []
            async for response in call:
                ids.append(response.infer_response.id)
                if response.error_message:
                    self._failed("ModelStreamInfer", response.error_message)
                else:
                    at = places[int(response.infer_response.id)]
                    self._check_tensors(self._steady, "ModelStreamInfer", at, response.infer_response)
            self._expect_all(ids, places)

        stub: Any = self._draw.choice(self._tensors)
        await self._until_its_end(stub.ModelStreamInfer(requests(), timeout=DEADLINE), answered)

    async def _unloaded(self) -> None:
        at = self._draw.randrange(len(self._unsteady))

        async def answered(call: Any) -> None:
            try:
                self._check_tensors(self._unsteady, "ModelInfer", at, await call)
            except grpc.aio.AioRpcError as refused:
                if not str(refused.details()).startswith(f"{UNSTEADY} version 1 is not loaded"):
                    raise
                self.seen.absent += 1

        stub = self._draw.choice(self._tensors)
        await self._until_its_end(stub.ModelInfer(self._unsteady.infer("", at, 1), timeout=DEADLINE), answered)

    async def _until_its_end(self, call: Any, answered: Callable[[Any], Awaitable[None]]) -> None:
        """Wait until a call is answered, or cancelled by us, or lost."""
        giving_up = None
        if self._draw.random() < _GIVE_UP:
            patience = self._draw.expovariate(1 / _PATIENCE)
            giving_up = asyncio.get_running_loop().call_later(patience, call.cancel)
        try:
            async with asyncio.timeout(DEADLINE + _SLACK):
                await answered(call)
        except TimeoutError:
            self.seen.hung += 1
            call.cancel()
        except asyncio.CancelledError:  # so grpcio says that the call was cancelled here
            self._count_cancelled()
        except grpc.aio.AioRpcError as failed:
            self._lost(failed)
        finally:
            if giving_up is not None:
                giving_up.cancel()

    def _lost(self, failed: grpc.aio.AioRpcError) -> None:
        if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self.seen.hung += 1
        else:
            self._failed(failed.code().name, str(failed.details()))

    def _failed(self, what: str, text: str) -> None:
        self.seen.failed[what] += 1
        self.seen.tell(f"{what}: {text}")

    def _count_cancelled(self) -> None:
        self.seen.cancelled += 1
        if self.seen.cancelled == self._cancels:
            say("enough")

    def _check(self, kind: str, at: int, prediction: Prediction) -> None:
        version = prediction.answered_by.version
        given = np.array([[each.probability for each in prediction.outcomes]])
        self.seen.check(kind, self._steady.right(version, at, given), version)

    def _check_tensors(self, known: Known, kind: str, at: int, answer: ModelInferResponse) -> None:
        version = int(answer.model_version)
        tensor = answer.outputs[0]
        given = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(tuple(tensor.shape))
        self.seen.check(kind, known.right(version, at, given), version)

    def _expect_all(self, ids: list[str], places: list[int]) -> None:
        if ids != [str(number) for number in range(len(places))]:
            self.seen.wrong += 1
            self.seen.tell(f"{len(places)} were asked in a stream, answered were {ids}")

    def _places(self) -> list[int]:
        return [self._draw.randrange(len(self._steady)) for _ in range(self._draw.randint(1, _LONGEST_STREAM))]

    async def _pause(self) -> None:
        """Now and then let others go first."""
        if self._draw.random() < 0.1:
            await asyncio.sleep(0.001)


async def run(target: str, models: Path, callers: int, cancels: int) -> Seen:
    """Ask until standard input ends."""
    channels = [grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(CONNECTIONS)]
    asking = Callers(channels, models, cancels)
    tasks = [asyncio.create_task(asking.ask()) for _ in range(callers)]
    say("asking")
    await asyncio.to_thread(sys.stdin.read)
    asking.over = True
    await asyncio.gather(*tasks)
    for channel in channels:
        await channel.close()
    return asking.seen


def main() -> None:
    """Run as the command line says."""
    target, models, callers, cancels = sys.argv[1:]
    seen = uvloop.run(run(target, Path(models), int(callers), int(cancels)))
    say(json.dumps(vars(seen)))


if __name__ == "__main__":
    main()
