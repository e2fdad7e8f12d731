"""What the conformance tests ask with: the stock client of grpcio, and nothing of ours but the messages."""

import time
from collections.abc import Callable

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from ondeck.v1.instances_pb2 import BattedBall
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub

PREDICTION = "ondeck.v1.PredictionService"
PREDICT, BATCH_PREDICT, STREAM_PREDICT = (
    f"/{PREDICTION}/{rpc}" for rpc in ("Predict", "BatchPredict", "StreamPredict")
)
SPEC = ModelSpec(name="batted_ball")
INSTANCE = BattedBall(launch_speed=100, launch_angle=20)
BALL = PredictRequest(model=SPEC, batted_ball=INSTANCE)
SECONDS = 20.0  # for a call on a machine that has other things to do
OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)


def asked(number: int) -> StreamPredictRequest:
    return StreamPredictRequest(id=str(number), model=SPEC, batted_ball=INSTANCE)


def alone(target: str, *options: tuple[str, int | str]) -> grpc.Channel:
    """Open a channel with a connection that it shares with no other."""
    return grpc.insecure_channel(target, [OWN_CONNECTION, *options])


def answers(channel: grpc.Channel) -> bool:
    """Tell whether the server answers a good call."""
    return len(PredictionServiceStub(channel).Predict(BALL, timeout=SECONDS).prediction.outcomes) == 5


def serves(target: str) -> bool:
    """Tell whether the server answers on a new connection, and says SERVING."""
    with alone(target) as channel:
        health = HealthStub(channel).Check(HealthCheckRequest(), timeout=SECONDS)  # type: ignore[attr-defined]
        return answers(channel) and bool(health.status == HealthCheckResponse.SERVING)


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    """Tell whether something comes to hold in time."""
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


def settled(seconds: float, expected: float, read: Callable[[], float]) -> float:
    """Give what is read once it is what is expected, or what it is when the time is over."""
    within(seconds, lambda: read() == expected)
    return read()
