"""Scripts of an environment whose path means something to the shell."""

import subprocess
import sys
from pathlib import Path

import pytest

from tools.repair_scripts import repair

NAMES = ['Bob\'s "project", Inc $HOME', "a`b\\c", "plain"]
SCRIPT = "#!/bin/sh\n'''exec' \"{folder}/python\" \"$0\" \"$@\"\n' '''\nimport sys\nprint(sys.argv[1:])\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_repaired_script_starts_the_python_beside_it(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    script = folder / "tool"
    script.write_text(SCRIPT.format(folder=folder))
    script.chmod(0o755)
    assert repair(script)
    assert not repair(script)
    done = subprocess.run([script, 'a "b" $c'], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['a \"b\" $c']\n", "")


def test_other_scripts_stay(tmp_path: Path) -> None:
    for content in (b"#!/usr/bin/python3\nprint(1)\n", b"#!/bin/sh\nexec true\n", b"\x7fELF"):
        (tmp_path / "tool").write_bytes(content)
        assert not repair(tmp_path / "tool")
        assert (tmp_path / "tool").read_bytes() == content
