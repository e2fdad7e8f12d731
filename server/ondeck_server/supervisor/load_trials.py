"""Load trials: each version is loaded in a process of its own once, before any worker loads it.

No graph ends, hangs or exhausts a worker. What ended the process is not tried again by any worker until its content
changes.
"""

import asyncio
import shutil
import signal
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, Final

import structlog

from ondeck_core.errors import without_folders
from ondeck_runtime.tasks import TaskMonitor
from ondeck_runtime.temporary_folders import create_folder
from ondeck_server.ipc.messages import LoadLimits, TrialRequest, TrialResult
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.process import end_child, start_child

IDLE_SECONDS: Final = 5.0  # after the last trial the process ends, as it holds memory
MAX_RESULTS: Final = 256  # that are remembered, with their optimized graphs
_MAX_KILLS: Final = 2  # by SIGKILL: the first time the system may have been out of memory for another reason
_EXIT_SECONDS: Final = 0.5  # for a process whose input has ended
_NICENESS: Final = 10
_MODULE: Final = "ondeck_server.worker.load_trial"

log = structlog.get_logger()


class NoTrialError(Exception):
    """The version could not be tried, which is no fault of it; a later attempt may succeed."""


class TrialEndedError(Exception):
    """The load ended the process, or was ended because it exceeded a limit; `code` is the exit code."""

    def __init__(self, reason: str, code: int = 0) -> None:
        super().__init__(reason)
        self.code = code


class LoadTrials:
    """The trials that workers request: one at a time, and each once until the files of its version change."""

    def __init__(
        self, limits: LoadLimits, reserve: DescriptorReserve, tasks: TaskMonitor, *, optimizes: bool = False
    ) -> None:
        self._tasks = tasks
        self.process = TrialProcess(limits, reserve)
        self._optimizes = optimizes
        self._folder: Path | None = None
        self._numbers = count()
        self._results: dict[str, asyncio.Task[TrialResult]] = {}
        self._fatal: dict[str, str] = {}  # why a graph ended the process, by its digest
        self._kills: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()
        self._closing: asyncio.TimerHandle | None = None

    def submit(self, request: TrialRequest, reply: Callable[[TrialResult], None]) -> None:
        """Reply to a request, once its trial has a result."""
        task = self._results.get(request.key)
        if task is None:
            task = self._results[request.key] = self._tasks.spawn("load_trial", self._run(request))

        def conclude(done: "asyncio.Task[TrialResult]") -> None:
            if done.cancelled():
                return
            if (failed := done.exception()) is None:
                reply(done.result())
            else:
                self._results.pop(request.key, None)
                reply(TrialResult(key=request.key, refused=f"its trial failed: {failed}", is_retried=True))

        task.add_done_callback(conclude)

    def yield_to_calls(self) -> None:
        """From now on run trials at a low priority, since the server has calls."""
        self.process.niceness = _NICENESS
        self._close_if_idle()

    async def close(self) -> None:
        """End the process, and the trials that wait for it."""
        for task in self._results.values():
            task.cancel()
        await asyncio.gather(*self._results.values(), return_exceptions=True)
        if self._closing is not None:
            self._closing.cancel()
        await self.process.end()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    async def _run(self, request: TrialRequest) -> TrialResult:
        async with self._one_at_a_time:
            result = await self._try(request)
        if result.is_retried:
            self._results.pop(request.key, None)
        self._forget_oldest()
        if self._closing is not None:
            self._closing.cancel()
        self._closing = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._close_if_idle)
        return result

    async def _try(self, request: TrialRequest) -> TrialResult:
        if request.graph in self._fatal:
            return TrialResult(key=request.key, refused=self._fatal[request.graph])
        try:
            return await self.process.run(request.model_copy(update={"optimized_file": self._new_file()}))
        except NoTrialError as failed:
            return TrialResult(key=request.key, refused=str(failed), is_retried=True)
        except TrialEndedError as ended:
            return TrialResult(key=request.key, refused=str(ended), is_retried=self._is_retried(request, ended))

    def _is_retried(self, request: TrialRequest, ended: TrialEndedError) -> bool:
        """Return whether a graph that ended the process gets another trial."""
        if ended.code == -signal.SIGKILL:
            self._kills[request.graph] = self._kills.get(request.graph, 0) + 1
            _shorten(self._kills)
            if self._kills[request.graph] < _MAX_KILLS:
                return True
        self._fatal[request.graph] = str(ended)
        _shorten(self._fatal)
        log.warning("load_trial_failed", folder=request.folder, graph=request.graph, reason=str(ended))
        return False

    def _new_file(self) -> str:
        """Return a path for an optimized graph; empty: graphs are not optimized, or there is no temporary folder."""
        if not self._optimizes:
            return ""
        try:
            self._folder = self._folder or create_folder("graphs")
        except OSError as failed:
            log.warning("graph_folder_failed", detail="graphs are not optimized", reason=failed.strerror)
            return ""
        return str(self._folder / f"{next(self._numbers)}.onnx")

    def _forget_oldest(self) -> None:
        done = [key for key, task in self._results.items() if task.done()]
        for key in done[: max(0, len(self._results) - MAX_RESULTS)]:
            file = self._results.pop(key).result().optimized_file
            if file:
                Path(file).unlink(missing_ok=True)

    def _close_if_idle(self) -> None:
        if not self._one_at_a_time.locked():
            self.process.end_input()


class TrialProcess:
    """The process of the trials; it is started for a trial, and kept until `end_input` or `end`."""

    def __init__(self, limits: LoadLimits, reserve: DescriptorReserve) -> None:
        self._limits = limits
        self._reserve = reserve
        self.niceness = 0
        self._process: asyncio.subprocess.Process | None = None
        self._exiting: list[asyncio.subprocess.Process] = []  # their input has ended
        self._blocked: dict[str, asyncio.subprocess.Process] = {}  # killed, and waiting in the kernel, by folder

    @property
    def pid(self) -> int | None:
        """The process id; None: there is no process."""
        return self._process.pid if self._process is not None else None

    async def run(self, request: TrialRequest) -> TrialResult:
        """Load a version in the process.

        Raises:
            NoTrialError: the process cannot be started, or waits for its files or a busy machine.
            TrialEndedError: the load exceeded a limit, or ended the process.
        """
        self._check_blocked(request.folder)
        process = self._process = await self._running()
        reader, writer = process.stdout, process.stdin
        assert reader is not None  # noqa: S101  both are pipes
        assert writer is not None  # noqa: S101  as above
        try:
            async with asyncio.timeout(self._limits.wall_seconds):
                writer.write(request.model_dump_json().encode() + b"\n")
                line = await reader.readline()
        except TimeoutError:
            if await self.end() is None:
                self._blocked[request.folder] = process
                log.warning("load_trial_blocked", folder=request.folder, process=process.pid)
            # A graph that computes for so long has exceeded its CPU time before.
            waited = f"its load takes longer than {self._limits.wall_seconds} seconds with little CPU time"
            raise NoTrialError(f"{waited}: the machine is busy, or the file system does not answer") from None
        if line.endswith(b"\n"):
            return TrialResult.model_validate_json(line)
        code = await self.end()
        if code is None or code > 0:
            raise NoTrialError(f"the process that should load it exits with code {code}")
        raise TrialEndedError(self._describe_end(code), code)

    def end_input(self) -> None:
        """Let the process exit once it has no trial."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            self._exiting = [*(each for each in self._exiting if each.returncode is None), process]

    async def end(self) -> int | None:
        """End the process, by SIGKILL if it does not exit; return its exit code. Waits for former ones, too.

        None: there is none, or it does not exit, as one that waits for a file system in the kernel.
        """
        self.end_input()
        exiting, self._exiting = self._exiting, []
        codes = [await end_child(process, _EXIT_SECONDS) for process in exiting]
        return codes[-1] if codes else None

    def _check_blocked(self, folder: str) -> None:
        """Raise NoTrialError if a process that was killed still waits for the files of the version."""
        self._blocked = {each: process for each, process in self._blocked.items() if process.returncode is None}
        if folder in self._blocked:
            pid = self._blocked[folder].pid
            raise NoTrialError(f"process {pid} still waits for its files: the file system does not answer")

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        try:
            with self._reserve.released():
                return await start_child(_MODULE, self._limits.model_dump_json(), str(self.niceness))
        except Exception as failed:  # fork, exec and asyncio raise different errors
            raise NoTrialError(f"no process to load it can be started: {without_folders(str(failed))}") from failed

    def _describe_end(self, code: int) -> str:
        if code == -signal.SIGXCPU:
            return f"its load takes more than {self._limits.cpu_seconds} seconds of CPU time"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its load ended the process that loaded it: {name}"


def _shorten(remembered: dict[str, Any]) -> None:
    """Forget the oldest of too many entries."""
    while len(remembered) > MAX_RESULTS:
        del remembered[next(iter(remembered))]
