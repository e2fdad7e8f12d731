"""Client processes of the soak: separate, so that clients and observer do not block each other."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_END_TIMEOUT: Final = 120.0  # seconds, for calls in flight


class ClientProcess:
    """A process of clients; `seen` is the JSON object that it prints at its end."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.seen: dict[str, Any] = {}

    def expect_line(self, line: str, seconds: float) -> None:
        """Wait until the process prints a line.

        Raises:
            TimeoutError: it prints nothing in time, or another line.
        """
        assert self._process.stdout is not None
        watchdog = threading.Timer(seconds, self._process.kill)
        watchdog.start()
        received = self._process.stdout.readline()
        watchdog.cancel()
        if received != f"{line}\n":
            raise TimeoutError(f"expected {line!r}, received {received!r}")

    def end(self) -> None:
        """Close its standard input and read its result."""
        output, _ = self._process.communicate(timeout=_END_TIMEOUT)
        self.seen = json.loads(output.splitlines()[-1])


def print_line(line: str) -> None:
    """Print a line for the process that waits for it."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@contextmanager
def run_clients(module: str, *arguments: object) -> Iterator[ClientProcess]:
    """Run a module of clients for as long as the block."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        clients = ClientProcess(process)
        yield clients
        clients.end()
    finally:
        process.kill()
        process.wait()
