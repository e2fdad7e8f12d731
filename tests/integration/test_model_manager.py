"""The model manager: loads, refusals, aliases, leases and unloads of versions."""

import asyncio
import gc
import shutil
import weakref
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ondeck_core.errors import ModelNotLoadedError, NotFoundError
from ondeck_core.manifest import MODEL_FILE, PRODUCTION
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_runtime.metrics import MetricsBlock
from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.composition import worker_status
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState
from ondeck_server.models.repository_reader import watch_repository
from ondeck_server.models.version_resolution import CHANGED, ModelRef
from ondeck_server.players.directory import PlayerDirectory
from ondeck_trainer.artifact.parity import draw_instances
from tests.factories.model_managers import open_model_manager
from tests.factories.sibling_versions import copy_without_graph, publish_sibling, shifted

MODEL = "batted_ball"
SHIFT = 0.7
NOW = ModelRef(model=MODEL)
OLD, NEW = (MODEL, 1), (MODEL, 2)


@pytest.fixture
def folder(small_repository: Path, tmp_path: Path) -> Path:
    """Return a repository of one model with one version."""
    shutil.copytree(small_repository / MODEL, tmp_path / "models" / MODEL)
    return tmp_path / "models"


def promote(folder: Path, number: int, alias: str = PRODUCTION) -> None:
    move_alias(folder, MODEL, alias, number, AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC)))


def monitor() -> TaskMonitor:
    return TaskMonitor(MetricsBlock())


async def wait_until(models: ModelManager, holds: Callable[[], bool]) -> None:
    changed = asyncio.Event()
    models.subscribe(changed.set)
    async with asyncio.timeout(20):
        while not holds():
            await changed.wait()
            changed.clear()


def loaded_version(models: ModelManager) -> int:
    with models.task_lease(NOW) as lease:
        return lease.version.manifest.version


async def test_a_new_version_is_loaded_and_an_alias_change_followed(folder: Path) -> None:
    models = await open_model_manager(folder)
    async with watch_repository(models.repository.folder, models.refresh, poll_seconds=60, tasks=monitor()):
        publish_sibling(folder, MODEL, 2, shift=SHIFT)
        await wait_until(models, lambda: NEW in models.versions and models.versions[NEW].state is VersionState.LOADED)
        assert loaded_version(models) == 1
        promote(folder, 2)
        await wait_until(models, lambda: models.applied_aliases[MODEL][PRODUCTION] == 2)
        assert loaded_version(models) == 2
        await wait_until(models, lambda: models.versions[OLD].state is VersionState.PRESENT)
        instances = draw_instances(models.task_lease(NOW).version.task.instance, 50, seed=3)
        old = await open_model_manager(folder, "all")
        before = old.task_lease(ModelRef(model=MODEL, version=1)).version.predict_proba(instances)
        after = old.task_lease(ModelRef(model=MODEL, version=2)).version.predict_proba(instances)
        np.testing.assert_allclose(after, shifted(before, SHIFT), atol=1e-5)


async def test_polling_finds_changes_without_file_events(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_watches(*_: object, **__: object) -> None:
        raise OSError("inotify watch limit reached")

    monkeypatch.setattr("ondeck_server.models.repository_reader.awatch", no_watches)
    models = await open_model_manager(folder)
    async with watch_repository(models.repository.folder, models.refresh, poll_seconds=0.05, tasks=monitor()):
        publish_sibling(folder, MODEL, 2, shift=SHIFT)
        promote(folder, 2)
        await wait_until(models, lambda: models.applied_aliases[MODEL][PRODUCTION] == 2)


async def test_an_invalid_version_is_refused_with_its_reason_while_the_old_one_serves(folder: Path) -> None:
    publish_sibling(folder, MODEL, 2, shift=SHIFT)
    (folder / MODEL / "2" / MODEL_FILE).write_bytes(b"no graph")
    models = await open_model_manager(folder)
    promote(folder, 2)
    await models.refresh()
    await models.wait_idle()
    assert loaded_version(models) == 1
    assert models.serving() == {MODEL: True}
    refused = models.versions[NEW]
    assert (refused.state, refused.aliases, refused.desired_aliases) == (VersionState.REFUSED, (), (PRODUCTION,))
    assert refused.reason == "model.onnx is not the file that was published: its SHA-256 differs"
    assert models.versions[OLD].aliases == (PRODUCTION,)
    with pytest.raises(ModelNotLoadedError, match="its SHA-256 differs"):
        models.task_lease(ModelRef(model=MODEL, version=2))


async def test_a_partly_copied_version_loads_only_once_complete(folder: Path) -> None:
    models = await open_model_manager(folder)
    half = copy_without_graph(folder, MODEL, 2)
    await models.refresh()
    await models.wait_idle()
    assert (models.versions[NEW].state, models.versions[NEW].reason) == (VersionState.REFUSED, "model.onnx is missing")
    shutil.copy(folder / MODEL / "1" / MODEL_FILE, half / MODEL_FILE)
    await models.refresh()
    await models.wait_idle()
    assert models.versions[NEW].state is VersionState.LOADED


async def test_an_edited_version_keeps_serving_as_loaded_and_is_reported(folder: Path) -> None:
    models = await open_model_manager(folder)
    (folder / MODEL / "1" / MODEL_FILE).write_bytes(b"edited")
    await models.refresh()
    await models.wait_idle()
    assert (models.versions[OLD].state, models.versions[OLD].reason) == (VersionState.LOADED, CHANGED)
    assert loaded_version(models) == 1
    again = await open_model_manager(folder)
    assert again.versions[OLD].state is VersionState.REFUSED


async def test_a_version_with_a_deleted_folder_serves_until_replaced(folder: Path) -> None:
    models = await open_model_manager(folder)
    shutil.rmtree(folder / MODEL / "1")
    await models.refresh()
    await models.wait_idle()
    assert loaded_version(models) == 1
    assert (models.versions[OLD].state, models.versions[OLD].reason) == (VersionState.LOADED, CHANGED)
    assert models.versions[OLD].manifest is not None


async def test_unloading_waits_for_the_last_lease(folder: Path) -> None:
    publish_sibling(folder, MODEL, 2, shift=SHIFT)
    models = await open_model_manager(folder)
    held = models.task_lease(NOW)
    promote(folder, 2)
    await models.refresh()
    await asyncio.sleep(0.05)
    assert models.versions[OLD].state is VersionState.UNLOADING
    assert held.version.predict_proba(draw_instances(held.version.task.instance, 1, seed=3)).shape[0] == 1
    session = weakref.ref(held.version.session)
    with pytest.raises(ModelNotLoadedError, match="unloading"):
        models.task_lease(ModelRef(model=MODEL, version=1))
    held.release()
    del held
    await models.wait_idle()
    assert models.versions[OLD].state is VersionState.PRESENT
    gc.collect()
    assert session() is None


async def test_a_version_unloaded_on_request_does_not_count_as_missing(folder: Path, small_repository: Path) -> None:
    async def ignore_change() -> None:
        """Ignore the change."""

    players = PlayerDirectory(changed=ignore_change)
    shutil.copytree(small_repository / "whiff", folder / "whiff")
    models = await open_model_manager(folder)
    models.request_load(MODEL, loaded=False)
    await models.wait_idle()
    report = worker_status(models, players, listening=True)
    assert (report.serving[""], report.missing) == (True, ())
    models.request_load("whiff", loaded=False)
    await models.wait_idle()
    report = worker_status(models, players, listening=True)
    assert (report.serving[""], report.missing) == (False, ("every model was unloaded on request",))


async def test_nothing_is_kept_of_a_version_that_is_deleted_and_unloaded(folder: Path) -> None:
    publish_sibling(folder, MODEL, 2, shift=SHIFT)
    models = await open_model_manager(folder)
    assert models.resources.sessions == 2
    with models.task_lease(ModelRef(model=MODEL, version=2)) as lease:
        shutil.rmtree(folder / MODEL / "2")
        await models.refresh()
        assert (models.resources.leases, NEW in models.stats) == (1, True)
        del lease
    await models.wait_idle()
    gc.collect()
    assert (models.resources.leases, models.resources.sessions) == (0, 1)
    assert set(models.stats) == {OLD}
    publish_sibling(folder, MODEL, 2, shift=SHIFT)
    await models.refresh()
    await models.wait_idle()
    assert models.versions[NEW].state is VersionState.LOADED


async def test_a_model_is_unloaded_and_loaded_on_request(folder: Path) -> None:
    models = await open_model_manager(folder)
    models.request_load(MODEL, loaded=False)
    await models.wait_idle()
    with pytest.raises(ModelNotLoadedError, match="unloaded on request"):
        models.task_lease(NOW)
    assert models.serving() == {MODEL: False}
    models.request_load(MODEL, loaded=True)
    await models.wait_idle()
    assert loaded_version(models) == 1


async def test_a_failed_scan_changes_nothing(folder: Path) -> None:
    models = await open_model_manager(folder)
    (folder / MODEL / "aliases.json").write_text("{")
    async with watch_repository(models.repository.folder, models.refresh, poll_seconds=0.02, tasks=monitor()):
        await asyncio.sleep(0.2)
    assert loaded_version(models) == 1


async def test_a_version_deleted_before_its_load_blocks_no_other(folder: Path) -> None:
    models = await open_model_manager(folder)
    publish_sibling(folder, MODEL, 2, shift=SHIFT)
    await models.refresh()  # its load is due and has not started
    shutil.rmtree(folder / MODEL / "2")
    models.repository.entries, models.repository.versions = models.repository.read()
    await models.wait_idle()
    publish_sibling(folder, MODEL, 3, shift=SHIFT)
    await models.refresh()
    await models.wait_idle()
    assert models.versions[MODEL, 3].state is VersionState.LOADED


async def test_a_missing_model_version_or_alias_is_not_found(folder: Path) -> None:
    models = await open_model_manager(folder)
    for missing in (ModelRef(model="nothing"), ModelRef(model=MODEL, version=9), ModelRef(model=MODEL, alias="best")):
        with pytest.raises(NotFoundError):
            models.task_lease(missing)
