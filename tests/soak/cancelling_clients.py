"""Clients that cancel most of their calls, in a process of their own; they check every response.

    python -m tests.soak.cancelling_clients TARGET MODELS CLIENTS CANCELS

Prints `started`, makes calls of every kind until standard input ends, and prints the counts as JSON; prints
`cancelled` once CANCELS calls are cancelled.
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
from tests.soak.client_processes import print_line
from tests.soak.expected import ExpectedResults

SERVED: Final = "batted_ball"  # the model that always has a serving version
UNLOADED: Final = "whiff"  # the model that is unloaded from time to time
DEADLINE: Final = 30.0  # seconds; a call that takes longer hangs
CONNECTIONS: Final = 4
_DEADLINE_TOLERANCE = 10.0
_CANCELLED_SHARE = 0.7
_MEAN_SECONDS_TO_CANCEL = 0.004
_MAX_STREAM_LENGTH = 40
_BATCHES = (2, 40, 300, 700)  # rows; the last two need more than one run
_MAX_EXAMPLES = 5


@dataclass
class CallCounts:
    """Counts of calls and responses; `absent` are calls of a model while it is unloaded."""

    cancelled: int = 0
    hung: int = 0
    absent: int = 0
    responses: Counter[str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def check(self, kind: str, is_right: bool, version: int) -> None:  # noqa: FBT001  the result of the check
        """Count a response of a version."""
        self.responses[kind] += 1
        self.versions[version] += 1
        if not is_right:
            self.wrong += 1
            self.add_example(f"{kind}: not the result of version {version}")

    def add_example(self, text: str) -> None:
        """Keep a few examples of errors."""
        if len(self.examples) < _MAX_EXAMPLES:
            self.examples.append(text)


class CancellingClients:
    """Concurrent clients on a few shared connections."""

    def __init__(self, channels: list[grpc.aio.Channel], models: Path, cancels: int) -> None:
        self._predictions = [PredictionServiceStub(channel) for channel in channels]
        self._tensors = [GRPCInferenceServiceStub(channel) for channel in channels]
        self._served, self._unloaded_model = ExpectedResults(models, SERVED), ExpectedResults(models, UNLOADED)
        self._cancels = cancels
        self._random = random.Random(7)  # noqa: S311  no secret
        self.seen = CallCounts()
        self.is_over = False

    async def run(self) -> None:
        """Make one call after another until `is_over`."""
        kinds = (
            self._predict,
            self._predict,
            self._batch,
            self._stream,
            self._infer,
            self._stream_infer,
            self._infer_unloaded,
        )
        while not self.is_over:
            await self._random.choice(kinds)()

    async def _predict(self) -> None:
        at = self._random.randrange(len(self._served))

        async def read(call: Any) -> None:
            self._check("Predict", at, (await call).prediction)

        stub = self._random.choice(self._predictions)
        await self._finish(stub.Predict(self._served.predict(at), timeout=DEADLINE), read)

    async def _batch(self) -> None:
        at, rows = self._random.randrange(len(self._served)), self._random.choice(_BATCHES)

        async def read(call: Any) -> None:
            answer = await call
            given = np.array(answer.probabilities).reshape(rows, -1)
            version = answer.answered_by.version
            self.seen.check("BatchPredict", self._served.matches(version, at, given), version)

        stub = self._random.choice(self._predictions)
        await self._finish(stub.BatchPredict(self._served.batch(at, rows), timeout=DEADLINE), read)

    async def _stream(self) -> None:
        indexes = self._random_indexes()

        async def requests() -> AsyncIterator[StreamPredictRequest]:
            for number, at in enumerate(indexes):
                await self._pause()
                yield self._served.stream_predict(str(number), at)

        async def read(call: Any) -> None:
            ids = []
            async for response in call:
                for answer in response.answers:
                    ids.append(answer.id)
                    if answer.HasField("error"):
                        self._add_failure(f"StreamPredict {answer.error.code}", answer.error.message)
                    else:
                        self._check("StreamPredict", indexes[int(answer.id)], answer.prediction)
            self._expect_all(ids, indexes)

        stub: Any = self._random.choice(self._predictions)
        await self._finish(stub.StreamPredict(requests(), timeout=DEADLINE), read)

    async def _infer(self) -> None:
        at, rows = self._random.randrange(len(self._served)), self._random.choice(_BATCHES)

        async def read(call: Any) -> None:
            self._check_tensors(self._served, "ModelInfer", at, await call)

        stub = self._random.choice(self._tensors)
        await self._finish(stub.ModelInfer(self._served.infer("", at, rows), timeout=DEADLINE), read)

    async def _stream_infer(self) -> None:
        indexes = self._random_indexes()

        async def requests() -> AsyncIterator[ModelInferRequest]:
            for number, at in enumerate(indexes):
                await self._pause()
                yield self._served.infer(str(number), at, 1)

        async def read(call: Any) -> None:
            ids = []
            async for response in call:
                ids.append(response.infer_response.id)
                if response.error_message:
                    self._add_failure("ModelStreamInfer", response.error_message)
                else:
                    at = indexes[int(response.infer_response.id)]
                    self._check_tensors(self._served, "ModelStreamInfer", at, response.infer_response)
            self._expect_all(ids, indexes)

        stub: Any = self._random.choice(self._tensors)
        await self._finish(stub.ModelStreamInfer(requests(), timeout=DEADLINE), read)

    async def _infer_unloaded(self) -> None:
        at = self._random.randrange(len(self._unloaded_model))

        async def read(call: Any) -> None:
            try:
                self._check_tensors(self._unloaded_model, "ModelInfer", at, await call)
            except grpc.aio.AioRpcError as refused:
                if not str(refused.details()).startswith(f"{UNLOADED} version 1 is not loaded"):
                    raise
                self.seen.absent += 1

        stub = self._random.choice(self._tensors)
        await self._finish(stub.ModelInfer(self._unloaded_model.infer("", at, 1), timeout=DEADLINE), read)

    async def _finish(self, call: Any, read: Callable[[Any], Awaitable[None]]) -> None:
        """Wait until a call completes, is cancelled here, or fails."""
        cancel_timer = None
        if self._random.random() < _CANCELLED_SHARE:
            delay = self._random.expovariate(1 / _MEAN_SECONDS_TO_CANCEL)
            cancel_timer = asyncio.get_running_loop().call_later(delay, call.cancel)
        try:
            async with asyncio.timeout(DEADLINE + _DEADLINE_TOLERANCE):
                await read(call)
        except TimeoutError:
            self.seen.hung += 1
            call.cancel()
        except asyncio.CancelledError:  # grpcio raises it for a call cancelled here
            self._count_cancelled()
        except grpc.aio.AioRpcError as failed:
            self._count_failure(failed)
        finally:
            if cancel_timer is not None:
                cancel_timer.cancel()

    def _count_failure(self, failed: grpc.aio.AioRpcError) -> None:
        if failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            self.seen.hung += 1
        else:
            self._add_failure(failed.code().name, str(failed.details()))

    def _add_failure(self, what: str, text: str) -> None:
        self.seen.failed[what] += 1
        self.seen.add_example(f"{what}: {text}")

    def _count_cancelled(self) -> None:
        self.seen.cancelled += 1
        if self.seen.cancelled == self._cancels:
            print_line("cancelled")

    def _check(self, kind: str, at: int, prediction: Prediction) -> None:
        version = prediction.answered_by.version
        given = np.array([[each.probability for each in prediction.outcomes]])
        self.seen.check(kind, self._served.matches(version, at, given), version)

    def _check_tensors(self, expected: ExpectedResults, kind: str, at: int, answer: ModelInferResponse) -> None:
        version = int(answer.model_version)
        tensor = answer.outputs[0]
        given = np.frombuffer(answer.raw_output_contents[0], np.float32).reshape(tuple(tensor.shape))
        self.seen.check(kind, expected.matches(version, at, given), version)

    def _expect_all(self, ids: list[str], indexes: list[int]) -> None:
        if ids != [str(number) for number in range(len(indexes))]:
            self.seen.wrong += 1
            self.seen.add_example(f"a stream of {len(indexes)} instances received {ids}")

    def _random_indexes(self) -> list[int]:
        return [self._random.randrange(len(self._served)) for _ in range(self._random.randint(1, _MAX_STREAM_LENGTH))]

    async def _pause(self) -> None:
        """Yield to the other clients in one of ten cases."""
        if self._random.random() < 0.1:
            await asyncio.sleep(0.001)


async def run(target: str, models: Path, count: int, cancels: int) -> CallCounts:
    """Run the clients until standard input ends."""
    channels = [grpc.aio.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(CONNECTIONS)]
    clients = CancellingClients(channels, models, cancels)
    tasks = [asyncio.create_task(clients.run()) for _ in range(count)]
    print_line("started")
    await asyncio.to_thread(sys.stdin.read)
    clients.is_over = True
    await asyncio.gather(*tasks)
    for channel in channels:
        await channel.close()
    return clients.seen


def main() -> None:
    """Run as the arguments request."""
    target, models, count, cancels = sys.argv[1:]
    seen = uvloop.run(run(target, Path(models), int(count), int(cancels)))
    print_line(json.dumps(vars(seen)))


if __name__ == "__main__":
    main()
