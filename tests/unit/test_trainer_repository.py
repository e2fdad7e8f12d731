import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from ondeck_core.manifest import MANIFEST_FILE, MODEL_FILE, Manifest, Training, Window
from ondeck_trainer import repository

DAYS = Window(first_day=date(2022, 6, 1), last_day=date(2022, 6, 30))
FILES = {MODEL_FILE: b"graph", "card.md": b"card"}


def signed(version: int) -> Callable[[Mapping[str, str]], Manifest]:
    def sign(digests: Mapping[str, str]) -> Manifest:
        return Manifest(
            model="batted_ball",
            version=version,
            task="batted_ball",
            feature_set="batted_ball/1",
            feature_fingerprint="0" * 64,
            feature_names=("launch_speed",),
            outcomes=("out",),
            training=Training(fitted=DAYS, calibrated=DAYS, rows=1, data_fingerprint="0" * 64, seed=0),
            members={},
            libraries={},
            opset=18,
            ir_version=8,
            created=datetime(2022, 7, 1, tzinfo=UTC),
            files=dict(digests),
        )

    return sign


def hidden(models: Path) -> list[str]:
    return [path.name for path in (models / "batted_ball").iterdir() if path.name.startswith(".")]


def test_a_version_appears_whole_with_a_manifest_that_names_its_files(tmp_path: Path) -> None:
    folder, manifest = repository.publish(tmp_path, FILES, signed(1))
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST_FILE}
    assert Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes()) == manifest
    assert set(manifest.files) == set(FILES)
    assert hidden(tmp_path) == []


def test_a_published_version_is_never_written_again(tmp_path: Path) -> None:
    folder, _ = repository.publish(tmp_path, FILES, signed(1))
    with pytest.raises(OSError, match="not empty"):
        repository.publish(tmp_path, {MODEL_FILE: b"other", "card.md": b"other"}, signed(1))
    assert (folder / MODEL_FILE).read_bytes() == b"graph"
    assert hidden(tmp_path) == []


def test_a_publication_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        repository.publish(tmp_path, {MODEL_FILE: b"graph", "sub/card.md": None}, signed(1))  # type: ignore[dict-item]  # the failure
    with pytest.raises(FileNotFoundError):
        repository.publish(tmp_path, {MODEL_FILE: b"graph", "no/such/folder": b""}, signed(1))
    assert repository.versions(tmp_path, "batted_ball") == []
    assert hidden(tmp_path) == []


def test_numbers_go_on_from_the_highest(tmp_path: Path) -> None:
    assert repository.next_version(tmp_path, "batted_ball") == 1
    repository.publish(tmp_path, FILES, signed(9))
    repository.publish(tmp_path, FILES, signed(10))
    (tmp_path / "batted_ball" / ".publishing-99").mkdir()
    assert repository.next_version(tmp_path, "batted_ball") == 11


def test_an_alias_moves_alone_and_only_to_what_is_there(tmp_path: Path) -> None:
    repository.publish(tmp_path, FILES, signed(1))
    repository.move_alias(tmp_path, "batted_ball", "production", 1)
    repository.move_alias(tmp_path, "batted_ball", "candidate", 1)
    assert repository.aliases(tmp_path, "batted_ball") == {"production": 1, "candidate": 1}
    with pytest.raises(FileNotFoundError, match="no version 2"):
        repository.move_alias(tmp_path, "batted_ball", "production", 2)
    assert json.loads((tmp_path / "batted_ball" / "aliases.json").read_text())["aliases"]["production"] == 1
    assert hidden(tmp_path) == []
