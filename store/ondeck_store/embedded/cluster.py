"""An embedded PostgreSQL cluster in a folder: created with initdb, started and stopped without a shell.

The server has no capabilities, listens on no network, and accepts its own account and root by peer authentication. Its
socket is in the data directory. Server and clients reach it through descriptors of that folder, so that no character
and no length of the path matters to PostgreSQL, its settings or the limit of a socket's path.
"""

import hashlib
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import structlog

from ondeck_store.embedded.account import (
    Account,
    EmbeddedPostgresError,
    account_of,
    change_owner,
    creator_for,
    login_names,
)
from ondeck_store.embedded.programs import program_folder
from ondeck_store.embedded.unprivileged import run_program, start_program

USER: Final = "ondeck"
DATABASE: Final = "ondeck"
PORT: Final = 5432  # part of the socket's name only: the server listens on no network
START_SECONDS: Final = 120  # crash recovery may need most of it
STOP_SECONDS: Final = 60
MAX_SOCKET_PATH: Final = 100
_POLL_SECONDS: Final = 0.02
_LOG_LINES: Final = 10
_PRIVATE: Final = 0o700
_OPEN_FILES: Final = Path("/proc/self/fd")
_SOCKET: Final = f".s.PGSQL.{PORT}"
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "50",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "shared_preload_libraries": "pg_stat_statements",
    "timezone": "UTC",
}
_INITDB: Final = (
    *("--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C"),
    *(f"--username={USER}", "--no-instructions"),
)
_HEADER: Final = "# Written by Ondeck at each start.\n"
_ACCESS: Final = f"{_HEADER}local all all peer map={USER}\n"

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster with its data in `folder`/data; all paths are absolute."""

    folder: Path
    log: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    def ensure_running(self) -> None:
        """Create the cluster if it does not exist, and start it if it does not run.

        Raises:
            EmbeddedPostgresError: PostgreSQL failed; the message contains the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._wait_ready(self._server() or self._create_and_start())

    def socket_folder(self) -> Path:
        """Return the folder of the socket: the data directory, or what the fifth line of the pid file names.

        Without /proc it is a fixed folder for temporary files if the path of the data is too long or has a comma.
        """
        folder = Path(self._pid_file()[4])
        return self.data if folder.is_relative_to("/proc") else folder

    def is_running(self) -> bool:
        """Return whether the server runs; the pid file of a crashed server does not count."""
        return self._server() is not None

    def stop(self) -> None:
        """Stop the server, terminate its sessions, and wait for the end of the process."""
        server = self._server()
        if server is None:
            return
        socket_folder = self.socket_folder()
        server.send_signal(signal.SIGINT)  # PostgreSQL's fast shutdown
        deadline = time.monotonic() + STOP_SECONDS
        while _is_alive(server):
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(f"PostgreSQL in {self.data} did not stop: {self._log_tail()}")
            time.sleep(_POLL_SECONDS)
        if socket_folder != self.data:
            shutil.rmtree(socket_folder, ignore_errors=True)

    def _create_and_start(self) -> psutil.Process:
        account = account_of(self.folder)
        if not (self.data / "PG_VERSION").is_file():
            self._create(account)
        self._remove_stale_locks()
        self._upgrade(account)
        return self._start(account)

    def _create(self, account: Account) -> None:
        """Create the cluster beside its place, which it takes once it is complete."""
        creator, new = creator_for(account), self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=_PRIVATE)
        os.chown(new, *creator.owner)
        with reachable(new) as (path, descriptor):
            command = [str(program_folder() / "initdb"), "-D", path, *_INITDB]
            done = run_program(command, creator.owner, descriptor)
        if done.returncode != 0:
            output = " ".join(done.stdout.split()[-60:])
            raise EmbeddedPostgresError(f"could not create a database in {self.data}: {output}")
        _write_access(new, account)
        change_owner(new, account)
        new.rename(self.data)

    def _upgrade(self, account: Account) -> None:
        """Bring a cluster of an earlier release under the account and peer authentication."""
        if self.data.stat().st_uid != account.uid:
            change_owner(self.data, account)
            log.info("database_owner_updated", folder=str(self.data), uid=account.uid)
        if _write_access(self.data, account):
            log.info("database_access_updated", folder=str(self.data), users=login_names(account))

    def _start(self, account: Account) -> psutil.Process:
        with reachable(self.data) as (path, descriptor), self._open_log(account) as log_file:
            settings = _SETTINGS | {"unix_socket_directories": self._choose_socket_folder(path, account)}
            flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
            command = [str(program_folder() / "postgres"), "-D", path, "-p", str(PORT), *flags]
            pid = start_program(command, account.owner, descriptor, log_file)
        try:
            return psutil.Process(pid)
        except psutil.NoSuchProcess:
            raise self._start_error() from None

    def _wait_ready(self, server: psutil.Process) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready(server):
            if not _is_alive(server) or time.monotonic() > deadline:
                raise self._start_error()
            time.sleep(_POLL_SECONDS)

    def _is_ready(self, server: psutil.Process) -> bool:
        """Return whether the server accepts connections, from the first and the last line of its pid file."""
        lines = self._pid_file()
        return bool(lines) and lines[0] == str(server.pid) and lines[-1].strip() == "ready"

    def _server(self) -> psutil.Process | None:
        """Return the running server: the process of the pid file, if it is a PostgreSQL of the data's owner."""
        with suppress(IndexError, ValueError, psutil.Error, FileNotFoundError):
            process = psutil.Process(int(self._pid_file()[0]))
            if _is_alive(process) and process.name() == "postgres":
                return process if process.uids().real == self.data.stat().st_uid else None
        return None

    def _remove_stale_locks(self) -> None:
        """Remove the lock files of a crashed server whose process id is in use: PostgreSQL would not start.

        The process is a zombie or another program. PostgreSQL itself ignores the id of a process that does not exist.
        """
        with suppress(IndexError, ValueError, psutil.NoSuchProcess, FileNotFoundError):
            psutil.Process(int(self._pid_file()[0]))
            (self.socket_folder() / f"{_SOCKET}.lock").unlink(missing_ok=True)
            (self.data / "postmaster.pid").unlink()

    def _choose_socket_folder(self, path: str, account: Account) -> str:
        """Return the value of unix_socket_directories, a comma-separated list of quoted names."""
        folder = path
        if "," in path or len(os.fsencode(Path(path) / _SOCKET)) > MAX_SOCKET_PATH:  # only without /proc
            folder = str(self._temporary_socket_folder(account))
        quoted = folder.replace('"', '""')
        return f'"{quoted}"'

    def _temporary_socket_folder(self, account: Account) -> Path:
        """Create the one folder of this cluster in the folder for temporary files; no other user can write to it."""
        name = hashlib.sha256(os.fsencode(self.data)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"ondeck-{account.uid}-{name}"
        with suppress(FileExistsError):
            folder.mkdir(mode=_PRIVATE)
            os.chown(folder, *account.owner)
        status = folder.lstat()
        if status.st_mode != stat.S_IFDIR | _PRIVATE or status.st_uid != account.uid:
            raise EmbeddedPostgresError(f"{folder} is not a private folder of user {account.uid}: remove it")
        return folder

    def _pid_file(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    @contextmanager
    def _open_log(self, account: Account) -> Iterator[int]:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            os.fchown(descriptor, *account.owner)
            yield descriptor
        finally:
            os.close(descriptor)

    def _start_error(self) -> EmbeddedPostgresError:
        return EmbeddedPostgresError(f"PostgreSQL in {self.data} did not start: {self._log_tail()}")

    def _log_tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:])


@contextmanager
def reachable(folder: Path) -> Iterator[tuple[str, int]]:
    """Open a folder; yields a path to it that needs no permission on the folders above, and its descriptor.

    The path is valid in a program that inherits the descriptor. Without /proc it is the ordinary path.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(_OPEN_FILES / str(descriptor)) if _OPEN_FILES.is_dir() else str(folder), descriptor
    finally:
        os.close(descriptor)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _write_access(data: Path, account: Account) -> bool:
    """Write who may log in, if that differs from what the files contain; returns whether it did."""
    users = "".join(f'{USER} "{name}" {USER}\n' for name in login_names(account))
    written = [
        _replace(data / "pg_ident.conf", _HEADER + users, account),
        _replace(data / "pg_hba.conf", _ACCESS, account),
    ]
    return any(written)


def _replace(path: Path, text: str, account: Account) -> bool:
    """Write a file in a folder of the account without following its links."""
    if path.is_file() and path.read_text() == text:
        return False
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchown(descriptor, *account.owner)
        file.write(text)
    new.rename(path)
    return True
