"""Folders for temporary files: what a killed program leaves is removed by the next one."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from ondeck_runtime.temporary_folders import create_folder

CREATE = """
import sys, tempfile
from ondeck_runtime.temporary_folders import create_folder
tempfile.tempdir = sys.argv[1]
folder = create_folder("graphs")
(folder / "0.onnx").touch()
print(folder, flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def creator(folder: Path) -> "tuple[subprocess.Popen[str], Path]":
    process = subprocess.Popen(
        [sys.executable, "-c", CREATE, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_folders_of_killed_programs_are_removed_and_those_of_others_stay(temporary: Path) -> None:
    killed, killed_folder = creator(temporary)
    running, running_folder = creator(temporary)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    for name in ("ondeck-up-mine", "ondeck-graphs-1-file", "other"):
        (temporary / name).mkdir()
    own = create_folder("metrics")
    assert (killed_folder.exists(), running_folder.exists(), own.exists()) == (False, True, True)
    assert stat.S_IMODE(own.stat().st_mode) == 0o700
    assert {"ondeck-up-mine", "ondeck-graphs-1-file", "other"} <= {path.name for path in temporary.iterdir()}
    running.communicate()
    create_folder("metrics")
    assert (running_folder.exists(), own.exists()) == (False, True)


def test_a_folder_that_another_process_namespace_has_locked_stays(temporary: Path) -> None:
    process, folder = creator(temporary)
    locked = folder.rename(temporary / "ondeck-graphs-999999999-abc")  # no process here has this id
    create_folder("metrics")
    assert locked.exists()
    process.communicate()
    create_folder("metrics")
    assert not locked.exists()


def test_a_link_is_neither_followed_nor_removed(temporary: Path) -> None:
    target = temporary / "target"
    target.mkdir()
    (target / "kept").touch()
    link = temporary / "ondeck-graphs-999999999-abc"
    link.symlink_to(target)
    create_folder("metrics")
    assert ((target / "kept").exists(), os.path.lexists(link)) == (True, True)
