"""`ondeck predict` and the help texts, as processes with a running server."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ondeck_cli.remote import TargetSettings
from ondeck_cli.up.stack import parse_ready
from ondeck_core.tasks import TASKS
from ondeck_server.settings import ServerSettings
from tests.fixtures.server import RunningServer

BALL = ("--launch-speed", "100", "--launch-angle", "20")


def ondeck(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, **environment}
    )


def probability(text: str, outcome: str) -> float:
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(outcome)))


@pytest.mark.parametrize("task", ["batted-ball", "batted_ball"])
def test_predict_prints_outcomes_derived_stats_and_version(running_server: RunningServer, task: str) -> None:
    done = ondeck("predict", task, *BALL, "--stand", "r", "--target", running_server.target)
    assert done.returncode == 0, done.stderr
    assert sum(probability(done.stdout, each) for each in ("out", "single", "double", "triple", "home_run")) == (
        pytest.approx(1, abs=0.003)
    )
    assert probability(done.stdout, "xba") == pytest.approx(1 - probability(done.stdout, "out"), abs=0.002)
    assert done.stdout.splitlines()[-1].startswith("answered by batted_ball, version 1 (production), ")


@pytest.mark.parametrize(
    ("key", "code", "text"),
    [("746215/12/3", 0, "answered by"), ("746215/12", 2, "746215/12/3"), ("746215/0/3", 2, "746215/0/3")],
)
def test_predict_takes_the_key_of_a_pitch(running_server: RunningServer, key: str, code: int, text: str) -> None:
    done = ondeck("predict", "batted-ball", *BALL, "--pitch-key", key, "--target", running_server.target)
    assert done.returncode == code, done.stderr
    assert text in done.stdout + done.stderr


def test_fields_may_be_options_or_arguments(running_server: RunningServer) -> None:
    either = [
        ondeck("predict", "called_strike", *arguments, "--target", running_server.target).stdout
        for arguments in (("--plate-x", "0.5", "--plate-z", "2.5"), ("--plate_x", "0.5", "--plate_z", "2.5"))
    ]
    assert either[0] == either[1] != ""


def test_the_server_is_found_by_its_own_settings(running_server: RunningServer) -> None:
    port = running_server.target.rpartition(":")[2]
    assert ondeck("predict", "batted-ball", *BALL, ONDECK_PORT=port, ONDECK_HOST="0.0.0.0").returncode == 0  # noqa: S104  as a server listens


def test_predict_prints_the_whole_response_as_json(running_server: RunningServer) -> None:
    done = ondeck("predict", "batted-ball", *BALL, "--json", "--target", running_server.target)
    answer = json.loads(done.stdout)
    assert [each["outcome"] for each in answer["outcomes"]] == ["out", "single", "double", "triple", "home_run"]
    assert answer["answered_by"]["version"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("called-strike", "--plate-x", "0"), 1, "error: --plate-z is required"),
        (("called-strike", "--plate-x", "nan", "--plate-z", "2"), 1, "error: --plate-x"),
        (("called-strike", "--plate-x", "0", "--plate-z", "99"), 1, "from -20 to 20"),
        (("batted-ball", *BALL, "--version", "7"), 1, "version"),
        (("batted-ball", *BALL, "--alias", "candidate"), 1, "candidate"),
        (("batted-ball", *BALL, "--alias", "production", "--version", "1"), 2, "not by both"),
        (("batted-ball", *BALL, "--stand", "X"), 2, "--stand"),
        (("home-runs",), 2, "available: batted_ball, called_strike"),
    ],
)
def test_an_invalid_option_is_reported_by_its_name(
    running_server: RunningServer, arguments: tuple[str, ...], code: int, message: str
) -> None:
    done = ondeck("predict", *arguments, ONDECK_PORT=running_server.target.rpartition(":")[2])
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_server_the_error_names_the_command_that_starts_one() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{reserved.getsockname()[1]}"
        done = ondeck("predict", "batted-ball", *BALL, "--target", target)
    assert done.returncode == 1
    assert done.stderr == f"error: no Ondeck server answers at {target}; start one with: ondeck up\n"


def test_models_are_listed_as_a_table_and_as_json(running_server: RunningServer) -> None:
    table = ondeck("models", "list", "--target", running_server.target)
    listed = ondeck("models", "list", "--json", "--target", running_server.target)
    assert [each["name"] for each in json.loads(listed.stdout)] == sorted(TASKS)
    for each in json.loads(listed.stdout):
        loss = next(score["log_loss"] for score in each["evaluation"]["scores"] if score["predictor"] == "model")
        assert each["name"] in table.stdout
        assert f"{loss:.4f}" in table.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("predict",),
        ("predict", "batted-ball"),
        ("explain", "batted-ball"),
        ("ingest",),
        ("up",),
        ("train",),
        ("models",),
        ("evaluate",),
        ("recalibrate",),
        ("models", "compare"),
    ],
)
def test_every_command_has_a_help_text(arguments: tuple[str, ...]) -> None:
    done = ondeck(*arguments, "--help")
    assert done.returncode == 0
    assert "Usage: ondeck" in done.stdout


def test_an_unknown_log_level_is_refused_with_the_valid_ones() -> None:
    done = ondeck("models", "list", ONDECK_LOG_LEVEL="loud")
    assert done.returncode == 2
    assert "debug" in done.stderr
    assert "warning" in done.stderr


def test_a_request_needs_no_server_package_and_uses_the_address_a_server_listens_on_by_default() -> None:
    program = (
        "import sys, ondeck_cli.predict, ondeck_cli.explain; print([m for m in sys.modules if 'ondeck_server' in m])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
    target, server = TargetSettings.model_construct(), ServerSettings.model_construct()
    assert (target.host, target.port) == (server.host, server.port)


def test_a_server_reports_its_address_as_json_on_request(small_repository: Path, tmp_path: Path) -> None:
    arguments = (
        "--model-repository",
        str(small_repository),
        "--home",
        str(tmp_path),
        "--port",
        "0",
        "--admin-port",
        "0",
    )
    command = [sys.executable, "-m", "ondeck_cli", "serve", *arguments, "--workers", "1", "--ready-format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        ready = parse_ready(process.stdout.readline())
        process.terminate()
    assert ready is not None
    served = ", ".join(f"{task} 1" for task in sorted(TASKS))
    assert ready.message == f"serving {served} on {ready.address}; admin pages on {ready.admin}"
    assert process.returncode == 0


@pytest.mark.parametrize(
    "line", ["", "{", "{}", "serving nothing", '{"event": "server_ready"}', '{"event": "draining"}']
)
def test_another_line_of_a_server_is_not_its_address(line: str) -> None:
    assert parse_ready(line) is None


def test_every_invalid_setting_is_one_line_that_names_it() -> None:
    done = ondeck("serve", ONDECK_PORT="abc", ONDECK_WORKERS="-1")
    assert done.returncode == 1
    first, second = done.stderr.splitlines()
    assert first.startswith("error: ONDECK_PORT=abc: ")
    assert second.startswith("       ONDECK_WORKERS=-1: ")
