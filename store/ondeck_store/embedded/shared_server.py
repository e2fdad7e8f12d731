"""Sharing of the embedded server between programs: the first program starts it, the last one stops it.

Each program holds a shared lock on one file while it uses the server; the kernel releases the lock of a killed process.
A program that can lock the file exclusively when it leaves is the last one.
"""

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Final

from ondeck_store.embedded.account import EmbeddedPostgresError
from ondeck_store.embedded.cluster import Cluster, reachable

_LOCK_MODE: Final = 0o600


@asynccontextmanager
async def shared_server(home: Path) -> AsyncIterator[str]:
    """Run the server of a home folder during the block; yields the folder of its socket, as valid in this process.

    Raises:
        EmbeddedPostgresError: PostgreSQL could not be created or started.
    """
    cluster = _cluster_of(home)
    try:
        users = await asyncio.to_thread(_join, cluster)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"cannot create a database in {cluster.folder} ({error.strerror}); set another home folder with "
            "ONDECK_HOME or --home, run Ondeck as another user, or set ONDECK_DATABASE_URL to a server"
        ) from error
    try:
        with reachable(cluster.socket_folder()) as (socket_folder, _):
            yield socket_folder
    finally:
        await asyncio.to_thread(_leave, cluster, users)


def has_database(home: Path) -> bool:
    """Return whether a home folder contains an embedded database."""
    return (_cluster_of(home).data / "PG_VERSION").is_file()


def _cluster_of(home: Path) -> Cluster:
    absolute = home.resolve()
    return Cluster(folder=absolute / "postgres", log=absolute / "logs" / "postgres.log")


def _join(cluster: Cluster) -> IO[str]:
    cluster.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _start_stop_lock(cluster):
        users = _open_lock(cluster.folder / "users.lock")
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            cluster.ensure_running()
        except BaseException:
            users.close()
            raise
        return users


def _leave(cluster: Cluster, users: IO[str]) -> None:
    with _start_stop_lock(cluster), users:
        if _is_last(users):
            cluster.stop()


def _is_last(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _start_stop_lock(cluster: Cluster) -> Iterator[None]:
    with _open_lock(cluster.folder / "start-stop.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _open_lock(path: Path) -> IO[str]:
    """Open a lock file for this user only: a user who can read a file can lock it and keep others waiting."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, _LOCK_MODE)
    if stat.S_IMODE(os.fstat(descriptor).st_mode) != _LOCK_MODE:
        os.fchmod(descriptor, _LOCK_MODE)
    return os.fdopen(descriptor, "r+")
