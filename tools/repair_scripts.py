"""Repair the scripts of the environment, if the path of this folder means something to the shell that starts them.

pip starts Python by the path of the environment, between double quotes, in a line of each script that sh reads. With a
double quote, a dollar sign, a backtick or a backslash in the path, no script starts. Repaired ones start the Python
beside them.
"""

import re
from pathlib import Path
from typing import Final

SCRIPTS: Final = Path(__file__).resolve().parents[1] / ".venv" / "bin"
_TRAMPOLINE: Final = re.compile(rb"\A#!/bin/sh\n'''exec' .*? \"\$0\" \"\$@\"\n' '''\n", re.DOTALL)
_REPAIRED: Final = b"#!/bin/sh\n'''exec' \"${0%/*}/python\" \"$0\" \"$@\"\n' '''\n"


def repair(script: Path) -> bool:
    """Let a script start the Python beside it; returns whether the script has changed."""
    content = script.read_bytes()
    repaired = _TRAMPOLINE.sub(lambda _: _REPAIRED, content)
    if repaired == content:
        return False
    script.write_bytes(repaired)
    return True


def main() -> None:
    """Repair the scripts that the shell would not start."""
    if set('"$`\\') & set(str(SCRIPTS)):
        for script in SCRIPTS.iterdir():
            if script.is_file() and not script.is_symlink():
                repair(script)


if __name__ == "__main__":
    main()
