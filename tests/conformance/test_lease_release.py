"""A cancelled call releases its lease, in whichever phase it is cancelled."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias

import grpc
import pytest

from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tests.conformance.http2_client import frame_message, open_http2
from tests.conformance.stock_client import (
    BALL,
    OWN_CONNECTION,
    SMALL_WINDOW,
    SPEC,
    STREAM_PREDICT,
    stalled,
    stream_request,
    wait_until,
    wait_value,
)
from tests.fixtures.server import RunningServer
from tests.soak.resources import read_resources

if TYPE_CHECKING:
    from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceAsyncStub

CALLS: Final = 90  # in each phase
AT_ONCE: Final = 30
LONGEST: Final = 0.05  # seconds from the start of a call to its end
RELEASE_SECONDS: Final = 15.0  # the metric is a sample of every two seconds
ROWS: Final = 500
COLUMNS: Final = BattedBallColumns(launch_speed=[100.0] * ROWS, launch_angle=[20.0] * ROWS)

Phase: TypeAlias = Callable[["PredictionServiceAsyncStub", random.Random], Awaitable[None]]


async def before_the_first_request(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    call = stub.StreamPredict()
    await asyncio.sleep(order.uniform(0, LONGEST))
    call.cancel()


async def before_the_first_response(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    call = stub.StreamPredict()
    await call.write(stream_request(0))
    await asyncio.sleep(order.uniform(0, LONGEST / 10))
    call.cancel()


async def between_responses(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    async def requests() -> AsyncIterator[object]:
        for number in range(1000):
            yield stream_request(number)

    call = stub.StreamPredict(requests())  # type: ignore[arg-type]  # the stub wants the message's type
    for _ in range(order.randint(1, 20)):  # a response may contain many answers
        if await call.read() is grpc.aio.EOF:
            break
    call.cancel()


async def after_the_last_request(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    call = stub.StreamPredict()
    await call.write(stream_request(0))
    await call.done_writing()
    await asyncio.sleep(order.uniform(0, LONGEST / 10))
    call.cancel()


async def at_a_deadline(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    call = stub.StreamPredict(timeout=order.uniform(0.001, LONGEST))
    with suppress(grpc.RpcError, asyncio.InvalidStateError):
        for number in range(1000):
            await call.write(stream_request(number))
            await call.read()


async def of_one_row(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    call = stub.Predict(BALL)
    await asyncio.sleep(order.uniform(0, LONGEST / 10))
    call.cancel()


async def of_many_rows(stub: "PredictionServiceAsyncStub", order: random.Random) -> None:
    call = stub.BatchPredict(BatchPredictRequest(model=SPEC, batted_balls=COLUMNS))
    await asyncio.sleep(order.uniform(0, LONGEST))
    call.cancel()


PHASES: Final[tuple[Phase, ...]] = (
    before_the_first_request,
    before_the_first_response,
    between_responses,
    after_the_last_request,
    at_a_deadline,
    of_one_row,
    of_many_rows,
)


async def wait_leases(server: RunningServer) -> float:
    return await asyncio.to_thread(wait_value, RELEASE_SECONDS, 0, lambda: read_resources(server).leases)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
async def test_a_cancelled_call_releases_its_lease(running_server: RunningServer, phase: Phase) -> None:
    order = random.Random(11)  # noqa: S311  test data, no secret
    async with grpc.aio.insecure_channel(running_server.target, [OWN_CONNECTION]) as channel:
        stub = PredictionServiceStub(channel)
        for _ in range(CALLS // AT_ONCE):
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*(phase(stub, order) for _ in range(AT_ONCE)))
        assert (await stub.Predict(BALL)).prediction.outcomes
        assert await wait_leases(running_server) == 0


async def test_a_lost_connection_releases_the_leases_of_its_streams(running_server: RunningServer) -> None:
    order = random.Random(11)  # noqa: S311  as above
    for _ in range(AT_ONCE):
        with open_http2(running_server.target) as http2:
            for number in range(10):
                stream = http2.start_call(STREAM_PREDICT)
                http2.http.send_data(stream, frame_message(stream_request(number).SerializeToString()))
            http2.flush()
            await asyncio.sleep(order.uniform(0, LONGEST / 10))
    assert await wait_leases(running_server) == 0


async def test_a_stalled_stream_releases_its_leases_when_it_is_cancelled(running_server: RunningServer) -> None:
    async with grpc.aio.insecure_channel(running_server.target, [OWN_CONNECTION, SMALL_WINDOW]) as channel:
        async with stalled(PredictionServiceStub(channel).StreamPredict()):
            has_lease = await asyncio.to_thread(
                wait_until, RELEASE_SECONDS, lambda: read_resources(running_server).leases > 0
            )
        assert has_lease
        assert await wait_leases(running_server) == 0
