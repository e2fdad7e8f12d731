"""Programs started as processes of their own: watched, restarted, and ended by their own pid."""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
STEADY: Final = 60.0
KILL_AFTER: Final = 20.0
LONGEST_LINE: Final = 1 << 20

Tell = Callable[[str, str], None]


def next_pause(previous: float, lasted: float) -> float:
    """Tell how many seconds to wait before a child is started again.

    Half a second after a run of a minute or more, else twice the previous pause; half a minute at most.
    """
    if previous == 0 or lasted >= STEADY:
        return FIRST_PAUSE
    return min(LONGEST_PAUSE, previous * 2)


@dataclass(kw_only=True)
class ManagedProcess:
    """An `ondeck` command that should always be running; `tell` gets its name with each line that it writes.

    `environment` comes on top of our own.
    """

    name: str
    words: list[str]
    tell: Tell
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    _ending: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def keep_running(self, *, worth_restarting: Callable[[], bool] = lambda: True) -> None:
        """Run it, again and again, until it is told to end or ends when it is not worth another start."""
        pause = 0.0
        while not self._ending.is_set():
            begin = time.monotonic()
            code = await self._run_once()
            if self._ending.is_set() or not worth_restarting():
                return
            pause = next_pause(pause, time.monotonic() - begin)
            self.tell(self.name, f"ended with exit code {code}; starting again in {pause:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), pause)

    async def end(self) -> None:
        """Ask it to end, wait for it, and kill it if it will not."""
        self._ending.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), KILL_AFTER)
        except TimeoutError:
            self.tell(self.name, f"would not end within {KILL_AFTER:g} s; killed")
            process.kill()
            await process.wait()

    async def _run_once(self) -> int:
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ondeck_cli", *self.words),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LONGEST_LINE,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
        )
        if self._ending.is_set():
            process.terminate()
        assert process.stdout is not None  # noqa: S101  it was asked for above
        async for line in process.stdout:
            self.tell(self.name, line.decode(errors="replace").rstrip())
        return await process.wait()
