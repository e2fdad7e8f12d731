"""Calls with the stock client of grpcio; of this project only the messages."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from ondeck.v1.instances_pb2 import BattedBall
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest, StreamPredictRequest, StreamPredictResponse
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub

PREDICTION = "ondeck.v1.PredictionService"
PREDICT, BATCH_PREDICT, STREAM_PREDICT = (
    f"/{PREDICTION}/{rpc}" for rpc in ("Predict", "BatchPredict", "StreamPredict")
)
SPEC = ModelSpec(name="batted_ball")
INSTANCE = BattedBall(launch_speed=100, launch_angle=20)
BALL = PredictRequest(model=SPEC, batted_ball=INSTANCE)
SECONDS = 20.0  # deadline of a call on a busy machine
OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
SMALL_WINDOW = ("grpc.http2.bdp_probe", 0)  # else the client takes megabytes of responses that nothing reads
_STALL_SECONDS = 0.5  # without a completed write
Stream: TypeAlias = grpc.aio.StreamStreamCall[StreamPredictRequest, StreamPredictResponse]


def stream_request(number: int) -> StreamPredictRequest:
    return StreamPredictRequest(id=str(number), model=SPEC, batted_ball=INSTANCE)


def open_channel(target: str, *options: tuple[str, int | str]) -> grpc.Channel:
    """Open a channel with its own connection."""
    return grpc.insecure_channel(target, [OWN_CONNECTION, *options])


def can_predict(channel: grpc.Channel) -> bool:
    """Return whether the server answers a valid call."""
    return len(PredictionServiceStub(channel).Predict(BALL, timeout=SECONDS).prediction.outcomes) == 5


def is_serving(target: str) -> bool:
    """Return whether the server answers on a new connection and reports SERVING."""
    with open_channel(target) as channel:
        health = HealthStub(channel).Check(HealthCheckRequest(), timeout=SECONDS)  # type: ignore[attr-defined]
        return can_predict(channel) and bool(health.status == HealthCheckResponse.SERVING)


@asynccontextmanager
async def stalled(call: Stream) -> AsyncIterator[None]:
    """Write requests and read no response until no write completes; cancel the call after the block.

    No write is cancelled, with which grpc.aio would cancel the call.
    """
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await call.write(stream_request(written))
            written += 1

    writes, before = asyncio.create_task(write()), -1
    while before != written and not writes.done():
        before = written
        await asyncio.wait([writes], timeout=_STALL_SECONDS)
    try:
        assert not writes.done(), await call.details()
        yield
    finally:
        call.cancel()
        await asyncio.wait([writes])


def wait_until(seconds: float, holds: Callable[[], bool]) -> bool:
    """Wait for a condition; return whether it held in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def wait_value(seconds: float, expected: float, read: Callable[[], float]) -> float:
    """Wait until `read` returns `expected`; return its last value."""
    wait_until(seconds, lambda: read() == expected)
    return read()
