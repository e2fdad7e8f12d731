"""The client with real servers that are killed, restarted, drained or not serving."""

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

from ondeck_client import (
    AsyncClient,
    BattedBall,
    Client,
    ErrorReason,
    Pitch,
    Prediction,
    StreamAnswer,
    channel_options,
    reason_of,
)
from tests.fixtures.ports import find_free_port
from tests.fixtures.server import RunningServer, serving

BALL = BattedBall(launch_speed=100, launch_angle=20)
PITCH = Pitch(plate_x=0, plate_z=2.5)
COUNT = 400


def balls(pace: float) -> Iterator[tuple[str, BattedBall]]:
    for number in range(COUNT):
        yield str(number), BattedBall(launch_speed=60 + number % 60, launch_angle=20)
        time.sleep(pace)


async def async_balls(pace: float) -> AsyncIterator[tuple[str, BattedBall]]:
    for each in balls(0):
        yield each
        await asyncio.sleep(pace)


class RestartableServer:
    """A server that can be killed and restarted on the same port."""

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
        """Send SIGKILL and start the next process in the background."""
        self.server.process.send_signal(signal.SIGKILL)
        self.server.process.wait()
        self._again = threading.Thread(target=self.start)
        self._again.start()

    def wait(self) -> None:
        self._again.join()


@pytest.fixture
def restartable_server(root: Path) -> Iterator[RestartableServer]:
    with ExitStack() as stack:
        server = RestartableServer(root / "onnx_models", stack)
        yield server
        server.wait()


def test_a_restarted_server_leaves_no_gap_or_duplicate_in_a_stream(
    restartable_server: RestartableServer,
) -> None:
    received: list[StreamAnswer] = []
    with Client(restartable_server.target) as client:
        for answer in client.stream("batted_ball", balls(0.002)):
            received.append(answer)
            if len(received) == COUNT // 4:
                restartable_server.kill()
    assert_complete(received)


async def test_a_restarted_server_leaves_no_gap_or_duplicate_on_asyncio(restartable_server: RestartableServer) -> None:
    received: list[StreamAnswer] = []
    async with AsyncClient(restartable_server.target) as client:
        async for answer in client.stream("batted_ball", async_balls(0.002)):
            received.append(answer)
            if len(received) == COUNT // 4:
                await asyncio.to_thread(restartable_server.kill)
    assert_complete(received)


def assert_complete(received: list[StreamAnswer]) -> None:
    assert [each.id for each in received] == [str(number) for number in range(COUNT)]
    assert {each.WhichOneof("result") for each in received} == {"prediction"}
    first, same_speed = received[0].prediction, received[60 * (COUNT // 60)].prediction  # before and after the kill
    assert best(first) == pytest.approx(best(same_speed))


def best(prediction: Prediction) -> float:
    return max(each.probability for each in prediction.outcomes)


@pytest.fixture(scope="module")
def healthy_server(root: Path) -> Iterator[RunningServer]:
    with serving(root / "onnx_models") as server:
        yield server


@pytest.fixture(scope="module")
def failing_server(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Run a server with one model that fails verification."""
    models = Path(shutil.copytree(root / "onnx_models", tmp_path_factory.mktemp("unwell") / "models"))
    for manifest in (models / "whiff").glob("*/manifest.json"):
        manifest.write_text("{}")
    with serving(models) as server:
        yield server


def target_of(*servers: RunningServer) -> str:
    return "ipv4:" + ",".join(server.target for server in servers)


def count_answered(server: RunningServer) -> float:
    with urllib.request.urlopen(f"{server.admin}/metrics") as page:  # noqa: S310  the page of a local server
        text = page.read().decode()
    counted = re.findall(r'grpc_server_handled_total\{grpc_code="OK",grpc_method="Predict",.*\} (\S+)', text)
    return float(counted[0]) if counted else 0.0


@pytest.mark.parametrize(
    ("health", "share"), [("", 20), ("models/whiff", 0), ("models/batted_ball", 20), (None, 20), ("*", 20)]
)
def test_calls_are_balanced_over_the_serving_replicas(
    healthy_server: RunningServer, failing_server: RunningServer, health: str | None, share: int
) -> None:
    before = count_answered(healthy_server), count_answered(failing_server)
    with Client(target_of(healthy_server, failing_server), health=health) as client:
        client.predict("batted_ball", BALL)
        time.sleep(0.5)  # both are connected after this
        started = count_answered(failing_server)
        for _ in range(40):
            client.predict("batted_ball", BALL)
    assert count_answered(failing_server) - started == pytest.approx(share, abs=1)
    assert count_answered(healthy_server) + count_answered(failing_server) == sum(before) + 41


def test_calls_of_a_model_go_to_the_replicas_that_serve_it(
    healthy_server: RunningServer, failing_server: RunningServer
) -> None:
    with Client(target_of(healthy_server, failing_server)) as client:
        for _ in range(10):
            assert client.predict("whiff", PITCH).outcomes
            assert client.predict("whiff", PITCH, alias="production").outcomes
        answers = list(client.stream("whiff", ((str(number), PITCH) for number in range(10))))
    assert len(answers) == 10


def test_without_a_serving_replica_the_call_fails_with_the_reason(failing_server: RunningServer) -> None:
    with (
        Client(failing_server.target, health="models/whiff") as client,
        pytest.raises(grpc.RpcError, match="unhealthy"),
    ):
        client.predict("batted_ball", BALL)
    with Client(failing_server.target) as client:
        with pytest.raises(grpc.RpcError, match="whiff version 1 is not loaded") as refused:
            client.predict("whiff", PITCH)
        assert reason_of(refused.value) == ErrorReason.ERROR_REASON_MODEL_NOT_LOADED
        with pytest.raises(grpc.RpcError, match="no model 'wiff'"):
            client.predict("wiff", PITCH)
        (answer,) = client.stream("whiff", [("1", PITCH)])
        assert "whiff version 1 is not loaded" in str(answer.error)
        assert client.predict("batted-ball", BALL).outcomes


@pytest.fixture
def endless_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = channel_options._SERVICE_CONFIG["methodConfig"][0]["retryPolicy"]
    for name in ("initialBackoff", "maxBackoff"):
        monkeypatch.setitem(policy, name, "1000s")


@pytest.mark.usefixtures("endless_backoff")
async def test_an_unknown_model_is_refused_without_a_retry(failing_server: RunningServer) -> None:
    with Client(failing_server.target, timeout=100) as client, pytest.raises(grpc.RpcError, match="no model 'wiff'"):
        client.predict("wiff", PITCH)
    async with AsyncClient(failing_server.target, timeout=100) as connected:
        with pytest.raises(grpc.RpcError, match="no model 'wiff'"):
            await connected.predict("wiff", PITCH)


async def test_the_client_for_asyncio_raises_the_reason_as_well(failing_server: RunningServer) -> None:
    async with AsyncClient(failing_server.target) as client:
        with pytest.raises(grpc.RpcError, match="whiff version 1 is not loaded"):
            await client.predict("whiff", PITCH)
        answers = [answer async for answer in client.stream("whiff", [("1", PITCH)])]
        assert "whiff version 1 is not loaded" in str(answers[0].error)
        assert (await client.predict("batted_ball", BALL)).outcomes


def test_a_replica_that_drains_loses_no_call_and_no_answer_of_its_streams(
    healthy_server: RunningServer, root: Path
) -> None:
    lost: list[object] = []
    codes: Counter[str] = Counter()
    drained = threading.Event()

    def predict_until_drained(client: Client) -> None:
        while not drained.is_set():
            try:
                client.predict("batted_ball", BALL)
                codes["OK"] += 1
            except grpc.RpcError as error:
                lost.append(error)

    with (
        serving(root / "onnx_models", shutdown_delay_seconds=1) as leaving,
        Client(target_of(healthy_server, leaving)) as client,
        Client(target_of(healthy_server, leaving)) as streaming,
        ThreadPoolExecutor(3) as threads,
    ):
        asking = [threads.submit(predict_until_drained, client) for _ in range(3)]
        try:
            received = drain_in_mid_stream(streaming, leaving)
        finally:
            drained.set()
        for each in asking:
            each.result()
    assert (lost, leaving.process.returncode) == ([], 0)
    assert codes["OK"] > COUNT // 4
    for each_received in received:
        assert_complete(each_received)


def drain_in_mid_stream(client: Client, leaving: RunningServer) -> tuple[list[StreamAnswer], list[StreamAnswer]]:
    """Read two streams, which round robin assigns to one server each."""
    time.sleep(0.5)  # both are connected after this
    received: tuple[list[StreamAnswer], list[StreamAnswer]] = ([], [])
    streams = [client.stream("batted_ball", balls(0.02)) for _ in received]
    for answers in zip(*streams, strict=True):
        for each, answer in zip(received, answers, strict=True):
            each.append(answer)
        if len(received[0]) == COUNT // 8:
            leaving.process.send_signal(signal.SIGTERM)
    leaving.process.wait(timeout=60)
    return received
