"""Which servers run: each holds a lock on a file in its home folder that has its pid, as long as it lives."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ServerProcess:
    """A server that runs: the pid of its supervisor, and its gRPC port."""

    pid: int
    port: int


@contextmanager
def pid_file(home: Path, port: int) -> Iterator[None]:
    """Tell where it can be found that this process serves on a port, as long as the block; without, if need be."""
    path = _path(home, port)
    try:
        home.mkdir(parents=True, exist_ok=True)
        opened = path.open("a+")
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as failed:
        log.warning("no pid file; ondeck reload will need --pid", path=str(path), reason=failed.strerror)
        yield
        return
    with opened:
        opened.truncate(0)
        opened.write(f"{os.getpid()}\n")
        opened.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def running(home: Path) -> list[ServerProcess]:
    """List the servers of a home folder that run; files of others, which were killed, are passed over."""
    found = []
    for path in sorted(home.glob(_path(home, "*").name)):
        with path.open() as opened:
            if _locked(opened.fileno()) and (pid := opened.read().strip()).isdigit():
                found.append(ServerProcess(pid=int(pid), port=int(path.stem.partition("-")[2])))
    return found


def is_server(pid: int) -> bool:
    """Tell whether a process is an `ondeck serve`, as far as its command line says so."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return False
    return "serve" in words and any("ondeck" in word for word in words)


def _path(home: Path, port: int | str) -> Path:
    return home / f"serve-{port}.pid"


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
