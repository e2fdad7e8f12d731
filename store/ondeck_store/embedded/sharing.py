"""Several programs on one embedded server: the first starts it, the last stops it, none has to know the others.

Each user holds a shared lock on one file for as long as it needs the server; the kernel lets go of it even for a
process that was killed. Whoever leaves and can have that file alone is the last.
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
    """Have the server of a home folder run for as long as the block; gives the folder of its socket.

    Raises:
        EmbeddedPostgresError: PostgreSQL could not be made or started.
    """
    cluster = _cluster_of(home)
    try:
        users, socket_folder = await asyncio.to_thread(_join, cluster)
    except OSError as refused:
        raise EmbeddedPostgresError(
            f"cannot keep a database in {cluster.folder} ({refused.strerror}); name another home folder with "
            "ONDECK_HOME or --home, or a server in ONDECK_DATABASE_URL"
        ) from refused
    try:
        yield socket_folder
    finally:
        await asyncio.to_thread(_leave, cluster, users)


def is_made(home: Path) -> bool:
    """Tell whether a home folder has a database of its own already."""
    return (_cluster_of(home).data / "PG_VERSION").is_file()


def _cluster_of(home: Path) -> Cluster:
    absolute = home.resolve()
    return Cluster(folder=absolute / "postgres", log=absolute / "logs" / "postgres.log")


def _join(cluster: Cluster) -> tuple[IO[str], Path]:
    cluster.folder.mkdir(parents=True, exist_ok=True)
    with _deciding(cluster):
        users = (cluster.folder / "users.lock").open("w")
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            return users, cluster.ensure_running()
        except BaseException:
            users.close()
            raise


def _leave(cluster: Cluster, users: IO[str]) -> None:
    with _deciding(cluster), users:
        if _alone(users):
            cluster.stop()


def _alone(users: IO[str]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _deciding(cluster: Cluster) -> Iterator[None]:
    with (cluster.folder / "start-stop.lock").open("w") as decision:
        fcntl.flock(decision, fcntl.LOCK_EX)
        yield
