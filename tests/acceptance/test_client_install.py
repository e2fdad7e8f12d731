"""The client package, installed alone in a new environment."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.fixtures.server import RunningServer

pytestmark = pytest.mark.network

DEPENDENCIES = {"ondeck-api", "ondeck-client", "grpcio", "protobuf", "googleapis-common-protos", "typing-extensions"}
EXAMPLE = """
import sys
from ondeck_client import BattedBall, Client
with Client(sys.argv[1]) as ondeck:
    print(ondeck.predict("batted_ball", BattedBall(launch_speed=100, launch_angle=20)).answered_by.model)
"""


@pytest.fixture(scope="module")
def python(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("client") / "venv"
    venv.create(folder, with_pip=True)
    install = [
        str(folder / "bin" / "pip"),
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-c",
        "constraints.txt",
    ]
    done = subprocess.run(
        [*install, "./proto", "./clients/python"], cwd=root, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin" / "python"


def test_the_client_installs_grpc_and_protobuf_only(python: Path) -> None:
    installed = subprocess.run(
        [python, "-m", "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True
    )
    names = {line.split("==")[0].lower().replace("_", "-") for line in installed.stdout.split()}
    assert names - {"pip", "setuptools"} == DEPENDENCIES


def test_the_installed_client_gets_predictions(python: Path, running_server: RunningServer, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(EXAMPLE)
    command = [str(python), str(script), running_server.target]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "batted_ball\n"), done.stderr


def test_the_types_of_the_client_pass_a_type_checker(python: Path, tmp_path: Path) -> None:
    script = tmp_path / "example.py"
    script.write_text(EXAMPLE)
    command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python), str(script)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
