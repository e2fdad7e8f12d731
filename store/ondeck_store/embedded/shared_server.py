"""Sharing of the embedded server between programs: the first program starts it, the last one stops it.

Each program holds a shared lock on one file while it uses the server; the kernel releases the lock of a killed process.
A program that can lock the file exclusively when it leaves is the last one.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from ondeck_store.embedded.cluster import Cluster, EmbeddedPostgresError


@asynccontextmanager
async def shared_server(home: Path) -> AsyncIterator[Path]:
    """Run the server of a home folder during the block; yields the folder of its socket.

    Raises:
        EmbeddedPostgresError: PostgreSQL could not be created or started.
    """
    cluster = _cluster_of(home)
    try:
        users, socket_folder = await asyncio.to_thread(_join, cluster)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"cannot create a database in {cluster.folder} ({error.strerror}); set another home folder with "
            "ONDECK_HOME or --home, or set ONDECK_DATABASE_URL to a server"
        ) from error
    try:
        yield socket_folder
    finally:
        await asyncio.to_thread(_leave, cluster, users)


def has_database(home: Path) -> bool:
    """Return whether a home folder contains an embedded database."""
    return (_cluster_of(home).data / "PG_VERSION").is_file()


def _cluster_of(home: Path) -> Cluster:
    absolute = home.resolve()
    return Cluster(folder=absolute / "postgres", log=absolute / "logs" / "postgres.log")


def _join(cluster: Cluster) -> tuple[IO[str], Path]:
    cluster.folder.mkdir(parents=True, exist_ok=True)
    with _start_stop_lock(cluster):
        users = (cluster.folder / "users.lock").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            return users, cluster.ensure_running()
        except BaseException:
            users.close()
            raise


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
    with (cluster.folder / "start-stop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
