"""The client before real servers that are killed, restarted, drained or not well."""

import asyncio
import re
import shutil
import signal
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest

from ondeck_client import AsyncClient, BattedBall, Client, Prediction, StreamAnswer
from tests.fixtures.ports import find_free_port
from tests.fixtures.server import RunningServer, serving

BALL = BattedBall(launch_speed=100, launch_angle=20)
COUNT = 400


def balls(pace: float) -> Iterator[tuple[str, BattedBall]]:
    for number in range(COUNT):
        yield str(number), BattedBall(launch_speed=60 + number % 60, launch_angle=20)
        time.sleep(pace)


async def balls_awaited(pace: float) -> AsyncIterator[tuple[str, BattedBall]]:
    for each in balls(0):
        yield each
        await asyncio.sleep(pace)


class RestartableServer:
    """A server that is killed, and comes again at the same port."""

    def __init__(self, models: Path, stack: ExitStack) -> None:
        self.port = str(find_free_port())
        self._models, self._stack = models, stack
        self.server = self.start()
        self._again = threading.Thread()

    @property
    def target(self) -> str:
        return self.server.target

    def start(self) -> RunningServer:
        return self._stack.enter_context(serving(self._models, "--port", self.port))

    def kill(self) -> None:
        """Kill it as the kernel would, and start the next in the background."""
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self._again = threading.Thread(target=self.start)
        self._again.start()

    def settle(self) -> None:
        self._again.join()


@pytest.fixture
def restartable_server(root: Path) -> Iterator[RestartableServer]:
    with ExitStack() as stack:
        server = RestartableServer(root / "onnx_models", stack)
        yield server
        server.settle()


def test_a_restarted_server_leaves_no_gap_or_duplicate_in_a_stream(
    restartable_server: RestartableServer,
) -> None:
    heard: list[StreamAnswer] = []
    with Client(restartable_server.target) as client:
        for answer in client.stream("batted_ball", balls(0.002)):
            heard.append(answer)
            if len(heard) == COUNT // 4:
                restartable_server.kill()
    assert_complete(heard)


async def test_a_restarted_server_leaves_no_gap_or_duplicate_on_asyncio(restartable_server: RestartableServer) -> None:
    heard: list[StreamAnswer] = []
    async with AsyncClient(restartable_server.target) as client:
        async for answer in client.stream("batted_ball", balls_awaited(0.002)):
            heard.append(answer)
            if len(heard) == COUNT // 4:
                await asyncio.to_thread(restartable_server.kill)
    assert_complete(heard)


def assert_complete(heard: list[StreamAnswer]) -> None:
    assert [each.id for each in heard] == [str(number) for number in range(COUNT)]
    assert {each.WhichOneof("result") for each in heard} == {"prediction"}
    first, same_speed = heard[0].prediction, heard[60 * (COUNT // 60)].prediction  # before and after the kill
    assert best(first) == pytest.approx(best(same_speed))


def best(prediction: Prediction) -> float:
    return max(each.probability for each in prediction.outcomes)


@pytest.fixture(scope="module")
def well(root: Path) -> Iterator[RunningServer]:
    with serving(root / "onnx_models") as server:
        yield server


@pytest.fixture(scope="module")
def unwell(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server one of whose models does not hold what it claims: as a whole, it says NOT_SERVING."""
    models = Path(shutil.copytree(root / "onnx_models", tmp_path_factory.mktemp("unwell") / "models"))
    for manifest in (models / "whiff").glob("*/manifest.json"):
        manifest.write_text("{}")
    with serving(models) as server:
        yield server


def both(*servers: RunningServer) -> str:
    return "ipv4:" + ",".join(server.target for server in servers)


def answered(server: RunningServer) -> float:
    with urllib.request.urlopen(f"{server.admin}/metrics") as page:  # noqa: S310  the admin pages of the test's own server
        text = page.read().decode()
    counted = re.findall(r'grpc_server_handled_total\{grpc_code="OK",grpc_method="Predict",.*\} (\S+)', text)
    return float(counted[0]) if counted else 0.0


@pytest.mark.parametrize(("health", "share"), [("", 0), ("models/whiff", 0), ("models/batted_ball", 20), (None, 20)])
def test_calls_are_balanced_over_the_serving_replicas(
    well: RunningServer, unwell: RunningServer, health: str | None, share: int
) -> None:
    before = answered(well), answered(unwell)
    with Client(both(well, unwell), health=health) as client:
        client.predict("batted_ball", BALL)
        time.sleep(0.5)  # both are connected by now
        started = answered(unwell)
        for _ in range(40):
            client.predict("batted_ball", BALL)
    assert answered(unwell) - started == pytest.approx(share, abs=1)
    assert answered(well) + answered(unwell) == sum(before) + 41


def test_without_a_serving_replica_the_call_fails_with_the_reason(unwell: RunningServer) -> None:
    with Client(unwell.target) as client, pytest.raises(grpc.RpcError, match="unhealthy"):
        client.predict("batted_ball", BALL)


def test_a_replica_that_drains_loses_no_call_and_no_answer_of_its_streams(well: RunningServer, root: Path) -> None:
    lost: list[object] = []
    codes: Counter[str] = Counter()
    drained = threading.Event()

    def ask(client: Client) -> None:
        while not drained.is_set():
            try:
                client.predict("batted_ball", BALL)
                codes["OK"] += 1
            except grpc.RpcError as error:
                lost.append(error)

    with (
        serving(root / "onnx_models", shutdown_delay_seconds=1) as leaving,
        Client(both(well, leaving)) as client,
        Client(both(well, leaving)) as streaming,
        ThreadPoolExecutor(3) as threads,
    ):
        asking = [threads.submit(ask, client) for _ in range(3)]
        try:
            heard = leave_in_mid_stream(streaming, leaving)
        finally:
            drained.set()
        for each in asking:
            each.result()
    assert (lost, leaving.process.returncode) == ([], 0)
    assert codes["OK"] > COUNT // 4
    for each_heard in heard:
        assert_complete(each_heard)


def leave_in_mid_stream(client: Client, leaving: RunningServer) -> tuple[list[StreamAnswer], list[StreamAnswer]]:
    """Hear two streams, of which the round gives one to each server."""
    time.sleep(0.5)  # both are connected by now
    heard: tuple[list[StreamAnswer], list[StreamAnswer]] = ([], [])
    streams = [client.stream("batted_ball", balls(0.02)) for _ in heard]
    for answers in zip(*streams, strict=True):
        for each, answer in zip(heard, answers, strict=True):
            each.append(answer)
        if len(heard[0]) == COUNT // 8:
            leaving.process.send_signal(signal.SIGTERM)
    leaving.process.wait(timeout=60)
    return heard
