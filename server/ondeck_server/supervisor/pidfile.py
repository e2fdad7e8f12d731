"""PID files of running servers: each server locks its file in the home folder while it runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import structlog

_MODE: Final = 0o600  # a user who can read a file can lock it

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class ServerProcess:
    """A running server: the pid of its supervisor, and its gRPC port."""

    pid: int
    port: int


@contextmanager
def pid_file(home: Path, port: int) -> Iterator[None]:
    """Hold a locked PID file of this server within the block; logs a warning if it cannot be written."""
    path = _path(home, port)
    opened = _write(path)
    if opened is None:
        yield
        return
    with opened:
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _write(path: Path) -> BinaryIO | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
            opened = stack.enter_context(os.fdopen(descriptor, "wb", buffering=0))
            os.fchmod(descriptor, _MODE)  # an earlier release created it readable
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            opened.truncate(0)
            opened.write(f"{os.getpid()}\n".encode())
            stack.pop_all()
            return opened
    except OSError as failed:
        log.warning(
            "pidfile_failed", detail="ondeck reload needs --pid for this server", path=str(path), reason=failed.strerror
        )
        return None


def running_servers(home: Path) -> list[ServerProcess]:
    """List the running servers of a home folder; files of killed servers are not locked, and ignored."""
    found = []
    for path in sorted(home.glob(_path(home, "*").name)):
        with suppress(PermissionError), path.open() as opened:  # of another user
            if _is_locked(opened.fileno()) and (pid := opened.read().strip()).isdigit():
                found.append(ServerProcess(pid=int(pid), port=int(path.stem.partition("-")[2])))
    return found


def is_server(pid: int) -> bool:
    """Return whether the command line of a process is that of `ondeck serve`."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return False
    return "serve" in words and any("ondeck" in word for word in words)


def _path(home: Path, port: int | str) -> Path:
    return home / f"serve-{port}.pid"


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
