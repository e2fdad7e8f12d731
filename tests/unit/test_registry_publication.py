"""Publication of versions: atomic, immutable, numbered."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.manifest import ALIASES_FILE, MANIFEST_FILE, MODEL_FILE, Manifest
from ondeck_registry import repository
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.publication import next_version, publish
from tests.factories.versions import FILES, MODEL, publish_stub_versions, sign_manifest


def temporary_folders(models: Path) -> list[str]:
    return [path.name for path in (models / MODEL).glob(".publishing-*")]


def test_a_version_appears_atomically_with_a_manifest_of_its_files(tmp_path: Path) -> None:
    folder, manifest = publish(tmp_path, FILES, sign_manifest(1))
    assert {path.name for path in folder.iterdir()} == {*FILES, MANIFEST_FILE}
    assert Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes()) == manifest
    assert set(manifest.files) == set(FILES)
    assert temporary_folders(tmp_path) == []


def test_a_published_version_is_never_written_again(tmp_path: Path) -> None:
    folder, _ = publish(tmp_path, FILES, sign_manifest(1))
    with pytest.raises(OSError, match="not empty"):
        publish(tmp_path, {MODEL_FILE: b"other", "card.md": b"other"}, sign_manifest(1))
    assert (folder / MODEL_FILE).read_bytes() == b"graph"
    assert temporary_folders(tmp_path) == []


def test_a_failed_publication_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        publish(tmp_path, {MODEL_FILE: b"graph", "sub/card.md": None}, sign_manifest(1))  # type: ignore[dict-item]  # the failure
    with pytest.raises(FileNotFoundError):
        publish(tmp_path, {MODEL_FILE: b"graph", "no/such/folder": b""}, sign_manifest(1))
    assert repository.versions(tmp_path, MODEL) == []
    assert temporary_folders(tmp_path) == []


def test_version_numbers_continue_from_the_highest(tmp_path: Path) -> None:
    assert next_version(tmp_path, MODEL) == 1
    publish_stub_versions(tmp_path, 9, 10)
    (tmp_path / MODEL / ".publishing-99").mkdir()
    assert next_version(tmp_path, MODEL) == 11


def test_the_number_of_a_deleted_version_is_not_reused(tmp_path: Path) -> None:
    publish_stub_versions(tmp_path, 1, 2)
    move_alias(tmp_path, MODEL, "production", 2, AliasDecision(actor="Ada", reason="better", at=datetime.now(UTC)))
    shutil.rmtree(tmp_path / MODEL / "2")
    assert next_version(tmp_path, MODEL) == 3


def test_only_folders_with_a_plain_number_are_versions(tmp_path: Path) -> None:
    publish_stub_versions(tmp_path, 1, 12)
    for name in ("007", ".publishing-3", "2x", "notes", "²"):
        (tmp_path / MODEL / name).mkdir()
    (tmp_path / MODEL / "5").touch()
    (tmp_path / ".hidden" / "1").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    assert repository.read_repository(tmp_path) == [repository.ModelEntry(model=MODEL, versions=(1, 12), aliases={})]


def test_unreadable_aliases_are_refused_with_their_path(tmp_path: Path) -> None:
    publish_stub_versions(tmp_path, 1)
    (tmp_path / MODEL / ALIASES_FILE).write_text("{")
    with pytest.raises(ArtifactRefusedError, match=r"batted_ball/aliases\.json cannot be read: Invalid JSON"):
        repository.aliases(tmp_path, MODEL)
