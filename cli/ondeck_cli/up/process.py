"""A child process that is restarted when it exits, and stopped by its own pid."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ondeck_runtime.backoff import backoff_seconds

FIRST_PAUSE: Final = 0.5
MAX_PAUSE: Final = 30.0
STABLE_SECONDS: Final = 60.0
KILL_AFTER: Final = 20.0
MAX_LINE_BYTES: Final = 1 << 20

OnLine = Callable[[str, str], None]


@dataclass(kw_only=True)
class ManagedProcess:
    """An `ondeck` command that is kept running; `on_line` gets its name and each line that it prints.

    `environment` is added to the environment of this process.
    """

    name: str
    words: list[str]
    on_line: OnLine
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def keep_running(self, *, should_restart: Callable[[], bool] = lambda: True) -> None:
        """Run the command, and again whenever it exits, until `stop` is called or `should_restart` returns False."""
        failures = 0
        while not self._stopping.is_set():
            begin = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set() or not should_restart():
                return
            failures = 1 if time.monotonic() - begin >= STABLE_SECONDS else failures + 1
            pause = backoff_seconds(failures, first=FIRST_PAUSE, longest=MAX_PAUSE)
            self.on_line(self.name, f"ended with exit code {code}; starting again in {pause:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def stop(self) -> None:
        """Send SIGTERM and wait for the exit; send SIGKILL after 20 seconds."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), KILL_AFTER)
        except TimeoutError:
            self.on_line(self.name, f"did not exit within {KILL_AFTER:g} s; killed")
            process.kill()
            await process.wait()

    async def _run_once(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ondeck_cli", *self.words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=MAX_LINE_BYTES,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
        )
        if self._stopping.is_set():
            process.terminate()
        assert process.stdout is not None  # noqa: S101  stdout is a pipe, see above
        async for line in process.stdout:
            self.on_line(self.name, line.decode(errors="replace").rstrip())
        return await process.wait()
