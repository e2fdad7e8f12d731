"""Callers in a process of their own, so that they and whoever watches them do not wait for each other."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_LONGEST_END: Final = 120.0  # seconds, for calls that are under way


class Others:
    """A process that asks; `seen` is what it says at its end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.seen: dict[str, Any] = {}

    def hear(self, line: str, seconds: float) -> None:
        """Wait until it says something.

        Raises:
            TimeoutError: it does not in time, or says something else.
        """
        assert self._process.stdout is not None
        watchdog = threading.Timer(seconds, self._process.kill)
        watchdog.start()
        heard = self._process.stdout.readline()
        watchdog.cancel()
        if heard != f"{line}\n":
            raise TimeoutError(f"waited for {line!r}, heard {heard!r}")

    def end(self) -> None:
        """Let it come to its end, and hear what it saw."""
        told, _ = self._process.communicate(timeout=_LONGEST_END)
        self.seen = json.loads(told.splitlines()[-1])


def say(line: str) -> None:
    """Tell whoever waits for this process."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def asking(module: str, *words: object) -> Iterator[Others]:
    """Have others ask for as long as the block."""
    command = [sys.executable, "-m", module, *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        others = Others(process)
        yield others
        others.end()
    finally:
        process.kill()
        process.wait()
