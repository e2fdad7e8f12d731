"""Loads and warms up a version in a child process first: no graph ends, hangs or exhausts the worker that serves.

`python -m ondeck_server.models.load_trial LIMITS` reads one request a line and writes one reply a line, followed by the
optimized graph if there is one. It has a limit of CPU time and memory for each load, and exits when its input ends.
"""

import math
import os
import resource
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from ondeck_core.errors import ArtifactRefusedError, printable
from ondeck_core.manifest import GraphManifest, Manifest
from ondeck_registry.file_reader import UnreadableFileError
from ondeck_registry.version_optimizer import SHIPPED, Optimization, optimize_version
from ondeck_server.models.servable import load_manifest, trim_heap

_WALL_FACTOR: Final = 6  # a busy machine gives a process a part of a core
_SPARE_SECONDS: Final = 5  # the child ends itself this long after the worker should have ended it
_NICENESS: Final = 10  # calls go first
_MEMORY_USE: Final = Path("/proc/self/statm")
_MEMORY_FIELD: Final = 5  # pages of data and stack


class LoadLimits(BaseModel):
    """Limits of one load: seconds of CPU time, and MiB of memory beyond those of the process."""

    model_config = ConfigDict(frozen=True)

    cpu_seconds: int
    memory_mib: int

    @property
    def wall_seconds(self) -> int:
        """Seconds of elapsed time."""
        return self.cpu_seconds * _WALL_FACTOR


class _Request(BaseModel):
    folder: Path
    manifest: Manifest | GraphManifest
    is_optimized: bool


class _Reply(BaseModel):
    refused: str = ""
    is_retried: bool = Field(default=False, description="the operating system was the reason")
    rewrites: tuple[str, ...] = ()
    rejected: str = ""
    graph_bytes: int = Field(default=0, description="size of the optimized graph, which follows the reply")


class LoadTrial:
    """The child process of one worker; it is started for a load and kept until `close`. Not thread-safe."""

    def __init__(self, limits: LoadLimits, *, optimizes: bool = False) -> None:
        self._limits = limits
        self._optimizes = optimizes
        self._child: subprocess.Popen[bytes] | None = None

    def run(self, folder: Path, manifest: Manifest | GraphManifest) -> Optimization:
        """Load a version in the child process, and optimize its graph; blocks.

        Raises:
            ArtifactRefusedError: the version is refused, or its load exceeded a limit or ended the process.
            UnreadableFileError: the operating system was the reason; a later attempt may succeed.
        """
        request = _Request(folder=folder.resolve(), manifest=manifest, is_optimized=self._optimizes)
        try:
            reply, graph = self._exchange(request.model_dump_json().encode() + b"\n")
        except OSError as failed:
            self._kill()
            raise UnreadableFileError(f"no process to load it can be started: {failed.strerror}") from failed
        if reply.refused:
            raise (UnreadableFileError if reply.is_retried else ArtifactRefusedError)(reply.refused)
        return Optimization(graph=graph or None, rewrites=reply.rewrites, rejected=reply.rejected)

    def close(self) -> None:
        """End the child process."""
        if self._child is not None:
            self._kill()

    def _exchange(self, line: bytes) -> tuple[_Reply, bytes]:
        child = self._child = self._child or _start(self._limits)
        assert child.stdin is not None  # noqa: S101  both are pipes
        assert child.stdout is not None  # noqa: S101  as above
        child.stdin.write(line)
        child.stdin.flush()
        poll = select.poll()
        poll.register(child.stdout, select.POLLIN)
        if not poll.poll(self._limits.wall_seconds * 1000):
            self._kill()
            raise ArtifactRefusedError(f"its load takes longer than {self._limits.wall_seconds} seconds")
        content = child.stdout.readline()
        reply = _Reply.model_validate_json(content) if content.endswith(b"\n") else None
        graph = child.stdout.read(reply.graph_bytes) if reply is not None else b""
        if reply is None or len(graph) != reply.graph_bytes:
            code = self._kill()
            is_retried = code > 0 or code == -signal.SIGKILL  # it could not start, or the system was out of memory
            raise (UnreadableFileError if is_retried else ArtifactRefusedError)(self._describe_end(code))
        return reply, graph

    def _kill(self) -> int:
        """Kill the child process, if it still runs; return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return 0
        for pipe in (child.stdin, child.stdout):
            with suppress(OSError):
                if pipe is not None:
                    pipe.close()
        with suppress(subprocess.TimeoutExpired):
            return child.wait(timeout=0.5)  # its input has ended
        child.kill()
        return child.wait()

    def _describe_end(self, code: int) -> str:
        if code == -signal.SIGXCPU:
            return f"its load takes more than {self._limits.cpu_seconds} seconds of CPU time"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"its load ended the process that loaded it: {name}"


def _start(limits: LoadLimits) -> "subprocess.Popen[bytes]":
    environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
    return subprocess.Popen(  # noqa: S603  this module
        [sys.executable, "-P", "-m", __name__, limits.model_dump_json()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,  # a terminal's Ctrl-C goes to the worker's group only
    )


def _load(request: _Request) -> tuple[_Reply, bytes]:
    try:
        optimization = optimize_version(request.folder, request.manifest) if request.is_optimized else SHIPPED
        load_manifest(request.folder, request.manifest, optimization)
    except ArtifactRefusedError as refused:
        return _Reply(refused=printable(str(refused)), is_retried=isinstance(refused, UnreadableFileError)), b""
    except Exception as error:  # noqa: BLE001  MemoryError, and what ONNX Runtime raises
        return _Reply(refused=printable(f"cannot be loaded: {type(error).__name__}: {error}")), b""
    finally:
        trim_heap()
    graph = optimization.graph or b""
    reply = _Reply(rewrites=optimization.rewrites, rejected=optimization.rejected, graph_bytes=len(graph))
    return reply, graph


def _limit(limits: LoadLimits) -> None:
    """Set the limits of the next load; each is counted from the present use."""
    cpu = math.ceil(time.process_time()) + limits.cpu_seconds
    _set_limit(resource.RLIMIT_CPU, cpu)
    if _MEMORY_USE.exists():  # Linux only
        used = int(_MEMORY_USE.read_text().split()[_MEMORY_FIELD]) * resource.getpagesize()
        _set_limit(resource.RLIMIT_DATA, used + (limits.memory_mib << 20))
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + _SPARE_SECONDS)


def _set_limit(kind: int, value: int) -> None:
    """Set a soft limit, not above the hard one."""
    hard = resource.getrlimit(kind)[1]
    resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def main() -> None:
    """Load one version for each line of the input."""
    limits = LoadLimits.model_validate_json(sys.argv[1])
    os.nice(_NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no reply
    for line in sys.stdin.buffer:
        request = _Request.model_validate_json(line)
        _limit(limits)
        reply, graph = _load(request)
        replies.write(reply.model_dump_json().encode() + b"\n" + graph)
        replies.flush()
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
