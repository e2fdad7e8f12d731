"""`ondeck models`: list, promote, roll back and verify versions of a repository."""

import getpass
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck_registry.alias_log import history, login_name
from ondeck_registry.repository import aliases
from tests.fixtures.server import serving

MODEL = "batted_ball"
Done = subprocess.CompletedProcess[str]


@pytest.fixture
def repository(small_repository: Path, tmp_path: Path) -> Path:
    """Return a repository: version 1 in production, 2 and 3 the same graph with better and worse evaluations."""
    models = Path(shutil.copytree(small_repository, tmp_path / "models"))
    add_version(models, 2, better_by=0.01)
    add_version(models, 3, better_by=-0.01)
    return models


def add_version(models: Path, version: int, *, better_by: float) -> None:
    """Copy version 1 with a changed evaluation and updated checksums."""
    folder = Path(shutil.copytree(models / MODEL / "1", models / MODEL / str(version)))
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["log_loss"] -= better_by
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["version"] = version
    manifest["files"]["evaluation.json"] = hashlib.sha256((folder / "evaluation.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


def corrupt(models: Path, version: int) -> None:
    graph = models / MODEL / str(version) / "model.onnx"
    graph.write_bytes(graph.read_bytes()[:-1])


def models_command(repository: Path, *arguments: str) -> Done:
    command = [
        sys.executable,
        "-m",
        "ondeck_cli",
        "models",
        arguments[0],
        "--model-repository",
        str(repository),
        *arguments[1:],
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def production(repository: Path) -> int:
    return aliases(repository, MODEL)["production"]


def test_a_repository_is_listed_as_a_table_and_as_json(repository: Path) -> None:
    table = models_command(repository, "list").stdout
    listed = json.loads(models_command(repository, "list", "--json").stdout)
    assert [(each["model"], each["version"], each["aliases"]) for each in listed] == [
        ("batted_ball", 1, ["production"]),
        ("batted_ball", 2, []),
        ("batted_ball", 3, []),
        *((name, 1, ["production"]) for name in ("called_strike", "pitch_outcome", "whiff")),
    ]
    for each in listed:
        row = next(
            line for line in table.splitlines() if f" {each['model']} " in line and f" {each['version']} " in line
        )
        window = f"{each['evaluation_window']['first_day']} to {each['evaluation_window']['last_day']}"
        loss, constant = f"{each['log_loss']:.4f}", f"{each['log_loss_of_constant']:.4f}"
        assert all(cell in row for cell in (window, loss, constant, each["created"][:10]))
        assert each["graph_bytes"] == (repository / each["model"] / str(each["version"]) / "model.onnx").stat().st_size


def test_an_unreadable_version_is_listed_with_its_reason(repository: Path) -> None:
    (repository / MODEL / "2" / "manifest.json").unlink()
    shutil.rmtree(repository / MODEL / "1")
    done = models_command(repository, "list")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == [
        "batted_ball 2 cannot be read: manifest.json is missing",
        "batted_ball: production points to version 1, which does not exist",
    ]


def test_a_repository_and_a_server_are_not_listed_together(repository: Path) -> None:
    done = models_command(repository, "list", "--target", "127.0.0.1:1")
    assert (done.returncode, "exclude each other" in done.stderr) == (2, True)


def test_a_better_version_is_promoted_and_rolled_back(repository: Path) -> None:
    promoted = models_command(repository, "promote", "Batted-Ball", "2")
    assert promoted.returncode == 0, promoted.stderr
    assert promoted.stdout.startswith("batted_ball: production is version 2, was 1 (promoted; log loss ")
    assert production(repository) == 2
    back = models_command(repository, "rollback", "batted-ball", "--reason", "too many doubles")
    assert back.stdout == "batted_ball: production is version 1, was 2 (too many doubles)\n"
    assert production(repository) == 1
    first, second, third = history(repository, MODEL)
    assert first.reason.startswith("trained; ")
    assert (second.actor, second.forced, second.rollback) == (getpass.getuser(), False, False)
    assert (third.reason, third.forced, third.rollback) == ("too many doubles", False, True)


def test_a_restarted_server_serves_the_promoted_version(repository: Path) -> None:
    models_command(repository, "promote", MODEL, "2")
    with serving(repository) as server, grpc.insecure_channel(server.target) as channel:
        model = ModelServiceStub(channel).GetModel(GetModelRequest(model=ModelSpec(name=MODEL))).model
    assert (model.version, list(model.aliases)) == (2, ["production"])


def test_a_worse_version_is_promoted_only_with_force_and_reason(repository: Path) -> None:
    refused = models_command(repository, "promote", MODEL, "3")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: batted_ball 3 is not promoted: log loss ")
    assert refused.stderr.endswith("of the production version; force and a reason override the gate\n")
    assert models_command(repository, "promote", MODEL, "3", "--force").returncode == 2
    assert production(repository) == 1
    forced = models_command(repository, "promote", MODEL, "3", "--force", "--reason", "to see it in August")
    assert (forced.returncode, production(repository)) == (0, 3)
    last = history(repository, MODEL)[-1]
    assert last.forced
    assert last.reason.startswith("to see it in August; forced, although log loss ")


def test_another_alias_is_set_without_the_gate(repository: Path) -> None:
    done = models_command(repository, "promote", MODEL, "3", "--alias", "candidate")
    assert done.stdout == "batted_ball: candidate is version 3 (promoted; no gate for candidate)\n"
    assert aliases(repository, MODEL) == {"production": 1, "candidate": 3}


def test_promoting_the_current_version_changes_and_logs_nothing(repository: Path) -> None:
    before = history(repository, MODEL)
    done = models_command(repository, "promote", MODEL, "1")
    assert (done.returncode, done.stdout) == (0, "batted_ball: production is version 1 already\n")
    assert history(repository, MODEL) == before


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_force_does_not_promote_a_version_that_fails_verification(repository: Path, command: str) -> None:
    if command == "promote":
        arguments: tuple[str, ...] = ("promote", MODEL, "2", "--force", "--reason", "in haste")
    else:
        models_command(repository, "promote", MODEL, "3", "--force", "--reason", "for a rollback")
        arguments = ("rollback", MODEL)
    serves = production(repository)
    for version in (1, 2):
        corrupt(repository, version)
    done = models_command(repository, *arguments)
    assert done.returncode == 1
    assert "failed verification: model.onnx is not the file that was published" in done.stderr
    assert production(repository) == serves


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("promote", MODEL, "9"), "error: no version 'batted_ball/9'; available: 1, 2, 3\n"),
        (
            ("promote", "home-runs", "1"),
            "error: no model 'home-runs'; available: batted_ball, called_strike, pitch_outcome, whiff\n",
        ),
        (("promote", MODEL, "2", "--alias", "best!"), "error: invalid alias 'best!': use lower-case"),
        (("rollback", MODEL), "error: batted_ball: no version is on record as production before version 1\n"),
        (
            ("rollback", MODEL, "--alias", "candidate"),
            "error: no alias 'batted_ball@candidate'; available: production\n",
        ),
        (
            ("history", "home-runs"),
            "error: no model 'home-runs'; available: batted_ball, called_strike, pitch_outcome, whiff\n",
        ),
        (("verify", MODEL, "9"), "error: no version 'batted_ball/9'; available: 1, 2, 3\n"),
    ],
)
def test_a_missing_version_is_reported_with_the_existing_ones(
    repository: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = models_command(repository, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert production(repository) == 1


def test_the_history_shows_actor_change_and_reason(repository: Path) -> None:
    models_command(repository, "promote", MODEL, "3", "--force", "--reason", "a trial")
    models_command(repository, "rollback", MODEL)
    table = models_command(repository, "history", "batted-ball").stdout
    assert [line.split("│")[4:7] for line in table.splitlines() if "│ production │" in line] == [
        ["      ", " 1  ", "          "],
        [" 1    ", " 3  ", " forced   "],
        [" 3    ", " 1  ", " rollback "],
    ]
    changes = json.loads(models_command(repository, "history", MODEL, "--json").stdout)
    assert [(each["from_version"], each["to_version"], each["forced"]) for each in changes] == [
        (None, 1, False),
        (1, 3, True),
        (3, 1, False),
    ]


def test_verify_checks_every_version_and_reports_each_failure(repository: Path) -> None:
    whole = models_command(repository, "verify")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.splitlines() == [
        *(f"batted_ball {number} passes" for number in (1, 2, 3)),
        *(f"{name} 1 passes" for name in ("called_strike", "pitch_outcome", "whiff")),
    ]
    corrupt(repository, 2)
    shutil.rmtree(repository / MODEL / "1")
    broken = models_command(repository, "verify", "batted-ball")
    assert (broken.returncode, broken.stdout) == (1, "batted_ball 3 passes\n")
    assert broken.stderr == (
        "batted_ball: production points to version 1, which does not exist\n"
        "batted_ball 2 fails verification: model.onnx is not the file that was published: its SHA-256 differs\n"
    )
    assert models_command(repository, "verify", MODEL, "3").returncode == 0


def test_verify_fails_on_a_repository_without_versions(tmp_path: Path) -> None:
    done = models_command(tmp_path, "verify")
    assert (done.returncode, done.stderr) == (1, f"there is no version in {tmp_path}\n")


def test_a_missing_login_name_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_login_name() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr(getpass, "getuser", no_login_name)
    assert login_name().endswith(", without a login name")
