"""A graph is loaded and warmed up under limits of time and memory before a worker takes it."""

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from ondeck.v1.model_service_pb2 import ListModelsRequest, ModelState
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.repository import read_any_manifest
from ondeck_runtime.metrics import MetricsBlock
from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.ipc.messages import LoadLimits, TrialRequest, TrialResult
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.load_trials import LoadTrials, TrialEndedError, TrialProcess
from tests.factories.broken_repositories import replace_graph
from tests.factories.onnx_graphs import bulky_graph, endless_graph, scoring_graph
from tests.factories.unanswered_mount import UnansweredMount, can_mount
from tests.fixtures.server import serving

GIB: Final = 1 << 30
BULKY: Final = bulky_graph(elements=GIB)  # 4 GiB


def publish(models: Path, name: str, graph: bytes) -> Path:
    publish_graph(models, name, scoring_graph())
    replace_graph(models / name / "1", graph)
    return models / name / "1"


def test_endless_and_bulky_graphs_hold_up_no_other_model(tmp_path: Path) -> None:
    models, log = tmp_path / "models", tmp_path / "log"
    publish(models, "bulky", BULKY)
    publish(models, "endless", endless_graph())
    publish_graph(models, "scores", scoring_graph())
    begin = time.monotonic()
    with serving(models, log=log, load_cpu_seconds=2, load_memory_mib=1024) as server:
        assert time.monotonic() - begin < 40  # 8 on an idle machine
        with grpc.insecure_channel(server.target) as channel:
            stub: Any = ModelServiceStub(channel)
            entries = {each.name: each for each in stub.ListModels(ListModelsRequest(), timeout=10).models}
            workers = server.workers()
            peak = max(each.memory_info().rss for each in workers)
    assert entries["scores"].state == ModelState.MODEL_STATE_LOADED
    assert entries["endless"].state_reason.startswith("its load takes ")
    assert entries["bulky"].state == ModelState.MODEL_STATE_REFUSED
    assert peak < GIB
    text = log.read_text()
    assert text.count("version_rejected") == 2  # what failed is not tried again
    assert "Traceback" not in text


@pytest.fixture
def good(tmp_path: Path) -> Path:
    publish_graph(tmp_path, "scores", scoring_graph())
    return tmp_path / "scores" / "1"


def request(folder: Path) -> TrialRequest:
    manifest = read_any_manifest(folder, folder.parent.name, 1)
    return TrialRequest(key=str(folder), graph=manifest.digest, folder=str(folder), manifest=manifest.model_dump_json())


def trial_process(cpu_seconds: int = 30, memory_mib: int = 1024) -> TrialProcess:
    return TrialProcess(LoadLimits(cpu_seconds=cpu_seconds, memory_mib=memory_mib), DescriptorReserve())


async def test_a_load_that_ends_the_process_affects_no_later_one(good: Path, tmp_path: Path) -> None:
    endless = publish(tmp_path, "endless", endless_graph())
    process = trial_process()
    for number in (signal.SIGSEGV, signal.SIGKILL):
        assert not (await process.run(request(good))).refused
        assert process.pid is not None
        threading.Timer(0.5, os.kill, [process.pid, number]).start()
        with pytest.raises(TrialEndedError, match=number.name):
            await process.run(request(endless))
    assert not (await process.run(request(good))).refused
    await process.end()
    assert process.pid is None


async def test_a_process_that_cannot_be_started_is_no_fault_of_the_version(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    trials = open_trials()
    result = await submit(trials, request(good))
    assert result.refused.startswith("no process to load it can be started")
    assert result.is_retried
    monkeypatch.undo()
    assert not (await submit(trials, request(good))).refused
    await trials.close()


async def test_the_limits_count_from_the_present_use(good: Path) -> None:
    process = trial_process(cpu_seconds=1, memory_mib=128)
    end = time.monotonic() + 4
    while time.monotonic() < end:
        assert not (await process.run(request(good))).refused
    await process.end()


def open_trials(cpu_seconds: int = 30) -> LoadTrials:
    return LoadTrials(
        LoadLimits(cpu_seconds=cpu_seconds, memory_mib=1024), DescriptorReserve(), TaskMonitor(MetricsBlock())
    )


async def submit(trials: LoadTrials, asked: TrialRequest) -> TrialResult:
    replied: asyncio.Future[TrialResult] = asyncio.get_running_loop().create_future()
    trials.submit(asked, replied.set_result)
    return await replied


async def test_each_version_has_one_trial_until_its_files_change(good: Path) -> None:
    trials = open_trials()
    asked = request(good)
    first, second = await asyncio.gather(submit(trials, asked), submit(trials, asked))
    assert first == second == TrialResult(key=asked.key)
    replace_graph(good, b"no graph")
    assert not (await submit(trials, asked)).refused  # as before: no second trial
    changed = request(good).model_copy(update={"key": "changed"})
    assert "no ONNX file" in (await submit(trials, changed)).refused
    await trials.close()


async def test_a_graph_that_ended_the_process_is_never_tried_again(good: Path, tmp_path: Path) -> None:
    endless = publish(tmp_path, "endless", endless_graph())
    trials = open_trials(cpu_seconds=1)
    asked = request(endless)
    while (result := await submit(trials, asked)).is_retried:  # the machine is too busy for its CPU time
        pass
    assert result.refused.startswith("its load takes more than ")
    assert trials.process.pid is None
    touched = asked.model_copy(update={"key": "touched"})
    assert (await submit(trials, touched)).refused == result.refused
    assert trials.process.pid is None  # none was started for it
    assert not (await submit(trials, request(good))).refused
    await trials.close()


async def wait_for_pid(trials: LoadTrials) -> int:
    while (pid := trials.process.pid) is None:  # noqa: ASYNC110  the start has no event
        await asyncio.sleep(0.01)
    return pid


async def test_a_graph_killed_by_the_system_gets_one_more_trial(tmp_path: Path) -> None:
    trials = open_trials()
    asked = request(publish(tmp_path, "endless", endless_graph()))
    is_retried = []
    for _ in range(2):
        replied = asyncio.create_task(submit(trials, asked))
        os.kill(await wait_for_pid(trials), signal.SIGKILL)
        is_retried.append((await replied).is_retried)
    assert is_retried == [True, False]
    await trials.close()


@pytest.mark.skipif(not can_mount(), reason="needs FUSE, and the right to mount")
async def test_a_version_is_tried_again_after_its_files_could_not_be_read(good: Path) -> None:
    trials, asked = open_trials(cpu_seconds=1), request(good)
    with UnansweredMount(good):
        result = await submit(trials, asked)
    assert result.is_retried
    assert "the file system does not answer" in result.refused
    result = await submit(trials, asked)
    await trials.close()
    assert result.refused == ""


@pytest.mark.skipif(not can_mount(), reason="needs FUSE, and the right to mount")
async def test_a_process_that_no_signal_ends_holds_up_no_later_trial(good: Path, tmp_path: Path) -> None:
    trials, asked = open_trials(cpu_seconds=1), request(good)
    other = request(publish(tmp_path, "other", scoring_graph()))
    with UnansweredMount(good) as mount:
        mount.take_requests()
        first, later = await asyncio.gather(submit(trials, asked), submit(trials, other))
        again = await submit(trials, asked)
    assert later == TrialResult(key=other.key)
    assert (first.is_retried, again.is_retried) == (True, True)
    assert "still waits for its files" in again.refused  # no second process waits beside the first
    await trials.close()
    assert (await submit(trials, asked)).refused == ""
    await trials.close()


async def test_the_process_ends_when_it_is_idle(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ondeck_server.supervisor.load_trials.IDLE_SECONDS", 0.1)
    trials = open_trials()
    await submit(trials, request(good))
    async with asyncio.timeout(5):
        while trials.process.pid is not None:  # noqa: ASYNC110  the end has no event
            await asyncio.sleep(0.01)
    await trials.close()


def test_workers_load_what_passed_one_trial(tmp_path: Path) -> None:
    models, log = tmp_path / "models", tmp_path / "log"
    publish_graph(models, "scores", scoring_graph())
    publish(models, "endless", endless_graph())
    with serving(models, log=log, workers=3, load_cpu_seconds=1):
        pass
    text = log.read_text()
    assert text.count("load_trial_failed") == 1
    assert text.count("version_rejected") == 3
    assert text.count("version_loaded") == 3
