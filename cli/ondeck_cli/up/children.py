"""Programs started as processes of their own: watched, restarted, and ended by their own pid."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
KILL_AFTER: Final = 20.0

Tell = Callable[[str, str], None]


def pause_before_restart(restarts: int) -> float:
    """Tell how many seconds to wait before a child is started again: half a second, doubled, half a minute at most."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(restarts, 10))


@dataclass(kw_only=True)
class Child:
    """An `ondeck` command that should always be running; `tell` gets each line it writes, with its name."""

    name: str
    words: list[str]
    tell: Tell
    restarts: int = 0
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def keep_running(self, *, give_up: Callable[[], bool]) -> int:
        """Run it, again and again; returns the exit code of a run after which it is given up."""
        while True:
            code = await self._run_once()
            if give_up():
                return code
            pause = pause_before_restart(self.restarts)
            self.restarts += 1
            self.tell(self.name, f"ended with exit code {code}; starting again in {pause:g} s")
            await asyncio.sleep(pause)

    async def end(self) -> None:
        """Ask it to end, wait for it, and kill it if it will not."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), KILL_AFTER)
        except TimeoutError:
            self.tell(self.name, "would not end; killed")
            process.kill()
            await process.wait()

    async def _run_once(self) -> int:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ondeck_cli",
            *self.words,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"ONDECK_LOG_FORMAT": "text", **os.environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None  # noqa: S101  it was asked for above
        async for line in self._process.stdout:
            self.tell(self.name, line.decode(errors="replace").rstrip())
        return await self._process.wait()
