"""A repository of format 1 is refused with the command that migrates it; migration keeps graphs and values."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from ondeck_cli.models.versions import migrate
from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry import atomic_files, migrate_format
from ondeck_registry.alias_log import history
from ondeck_registry.verification import verify

MODEL: Final = "batted_ball"


@pytest.fixture
def repository(small_repository: Path, tmp_path: Path) -> Path:
    models = tmp_path / "models"
    shutil.copytree(small_repository / MODEL, models / MODEL)
    return models


def to_format_1(models: Path) -> None:
    """Write a version and its alias log with the keys of format 1."""
    folder = models / MODEL / "1"
    evaluation = rename_keys(read_json(folder / "evaluation.json"), migrate_format._EVALUATION)
    evaluation["prediction_sets"] = [
        rename_keys(each, migrate_format._COVERAGE) for each in evaluation["prediction_sets"]
    ]
    evaluation["ablation"] = [rename_keys(each, migrate_format._ABLATION) for each in evaluation["ablation"]]
    evaluation["reliability"] = {
        name: [rename_keys(each, migrate_format._BIN) for each in bins]
        for name, bins in evaluation["reliability"].items()
    }
    del evaluation["format"]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    manifest = read_json(folder / "manifest.json")
    manifest["format"] = 1
    manifest["training"] = rename_keys(manifest["training"], migrate_format._TRAINING)
    manifest["files"]["evaluation.json"] = hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    log = models / MODEL / "aliases.log.jsonl"
    lines = [rename_keys(json.loads(line), migrate_format._ALIAS_CHANGE) for line in log.read_text().splitlines()]
    log.write_text("".join(json.dumps({k: v for k, v in each.items() if k != "format"}) + "\n" for each in lines))


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def rename_keys(new: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    back = {value: key for key, value in names.items()}
    return {back.get(key, key): value for key, value in new.items()}


def test_format_1_is_refused_with_the_command_that_migrates_it(repository: Path) -> None:
    to_format_1(repository)
    with pytest.raises(ArtifactRefusedError, match=r"it has format 1.*ondeck models migrate"):
        verify(repository / MODEL / "1", MODEL, 1)
    with pytest.raises(ArtifactRefusedError, match="ondeck models migrate"):
        history(repository, MODEL)


def test_migration_keeps_graphs_and_values_and_can_be_repeated(repository: Path) -> None:
    folder = repository / MODEL / "1"
    before = {name: read_json(folder / name) for name in ("evaluation.json", "manifest.json")}
    graph, changes = (folder / "model.onnx").read_bytes(), history(repository, MODEL)
    to_format_1(repository)
    done = CliRunner().invoke(migrate, ["--model-repository", str(repository)])
    assert done.output.splitlines() == [f"migrated {MODEL} 1", f"migrated {MODEL} aliases.log.jsonl"]
    assert read_json(folder / "evaluation.json") == before["evaluation.json"]
    after = read_json(folder / "manifest.json")
    assert {**after, "files": None} == {**before["manifest.json"], "files": None}
    assert ((folder / "model.onnx").read_bytes(), history(repository, MODEL)) == (graph, changes)
    verify(folder, MODEL, 1)
    assert CliRunner().invoke(migrate, ["--model-repository", str(repository)]).output == "nothing to migrate\n"


def test_a_manually_edited_evaluation_is_not_signed_again(repository: Path) -> None:
    to_format_1(repository)
    path = repository / MODEL / "1" / "evaluation.json"
    path.write_text(path.read_text().replace('"rows"', '"rows" '))
    CliRunner().invoke(migrate, ["--model-repository", str(repository)])
    with pytest.raises(ArtifactRefusedError, match=r"evaluation.json is not the file that was published"):
        verify(path.parent, MODEL, 1)


def test_a_migration_that_was_interrupted_is_completed(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = repository / MODEL / "1"
    before = read_json(folder / "evaluation.json")
    to_format_1(repository)
    replace = atomic_files.replace

    def interrupt(path: Path, content: bytes) -> None:
        if path.name == "manifest.json":
            raise KeyboardInterrupt
        replace(path, content)

    monkeypatch.setattr(atomic_files, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        migrate_format.migrate_repository(repository)
    monkeypatch.undo()
    migrate_format.migrate_repository(repository)
    assert read_json(folder / "evaluation.json") == before
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]
    verify(folder, MODEL, 1)


def test_an_evaluation_in_the_new_format_under_an_old_manifest_is_not_signed(repository: Path) -> None:
    path = repository / MODEL / "1" / "evaluation.json"
    changed = {**read_json(path), "log_loss": 0.01}
    to_format_1(repository)
    path.write_text(json.dumps(changed))
    CliRunner().invoke(migrate, ["--model-repository", str(repository)])
    with pytest.raises(ArtifactRefusedError, match=r"evaluation.json is not the file that was published"):
        verify(path.parent, MODEL, 1)


def resign(folder: Path, name: str, content: str) -> None:
    """Write a file of a version and its digest in the manifest."""
    (folder / name).write_text(content)
    manifest = read_json(folder / "manifest.json")
    manifest["files"][name] = hashlib.sha256(content.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_an_evaluation_without_a_format_number_is_refused_until_it_is_migrated(repository: Path) -> None:
    folder = repository / MODEL / "1"
    before = read_json(folder / "evaluation.json")
    resign(folder, "evaluation.json", json.dumps({key: value for key, value in before.items() if key != "format"}))
    with pytest.raises(ArtifactRefusedError, match=r"evaluation\.json has format 1.*ondeck models migrate"):
        verify(folder, MODEL, 1)
    done = CliRunner().invoke(migrate, ["--model-repository", str(repository)])
    assert done.output == f"migrated {MODEL} 1\n"
    assert read_json(folder / "evaluation.json") == before
    verify(folder, MODEL, 1)


def test_a_model_card_of_an_older_release_is_rendered_again(repository: Path) -> None:
    folder = repository / MODEL / "1"
    card, graph = (folder / "card.md").read_text(), (folder / "model.onnx").read_bytes()
    resign(folder, "card.md", "an older text")
    done = CliRunner().invoke(migrate, ["--model-repository", str(repository)])
    assert done.output == f"migrated {MODEL} 1 card.md\n"
    assert ((folder / "card.md").read_text(), (folder / "model.onnx").read_bytes()) == (card, graph)
    verify(folder, MODEL, 1)
