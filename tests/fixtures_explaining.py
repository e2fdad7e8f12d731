"""Models that can explain their answers, and one that cannot, behind a real server."""

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from ondeck_core.manifest import BACKGROUND_FILE, MANIFEST_FILE, Background, Manifest
from ondeck_core.tasks import TASKS, Task
from ondeck_store.artifacts.moving import Decision, move_alias
from ondeck_trainer.golden import make_up_instances
from tests.fixtures_server import RunningServer, serving

BACKGROUND_ROWS = 24
UNEXPLAINED = "candidate"  # alias of a version of batted_ball that has no background


def give_background(folder: Path, task: Task, content: bytes | None = None) -> None:
    """Put a background into a version, and sign it anew."""
    written = content or made_up_background(task).model_dump_json().encode()
    (folder / BACKGROUND_FILE).write_bytes(written)
    _sign(folder, {BACKGROUND_FILE: hashlib.sha256(written).hexdigest()})


def made_up_background(task: Task) -> Background:
    rows = make_up_instances(task.instance, BACKGROUND_ROWS, seed=42)
    instances = tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in rows)
    return Background(fields=task.instance.names, instances=instances)


def _sign(folder: Path, added: dict[str, str], version: int = 1) -> None:
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    kept = {name: digest for name, digest in manifest.files.items() if name != BACKGROUND_FILE}
    signed = manifest.model_copy(update={"files": kept | added, "version": version})
    (folder / MANIFEST_FILE).write_text(signed.model_dump_json())


@pytest.fixture(scope="session")
def explaining_repository(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small models, each with a background, and a second version of one, without."""
    models = tmp_path_factory.mktemp("explaining") / "models"
    shutil.copytree(small_repository, models)
    shutil.copytree(models / "batted_ball" / "1", models / "batted_ball" / "2")
    _sign(models / "batted_ball" / "2", {}, version=2)
    decision = Decision(who="a test", why="it has no background", at=datetime.now(UTC))
    move_alias(models, "batted_ball", UNEXPLAINED, 2, decision)
    for task in TASKS.values():
        give_background(models / task.name / "1", task)
    return models


@pytest.fixture(scope="session")
def explaining_server(explaining_repository: Path) -> Iterator[RunningServer]:
    with serving(explaining_repository) as server:
        yield server
