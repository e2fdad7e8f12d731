"""The embedded PostgreSQL: shared between programs, recovered after kills."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

from ondeck_runtime.settings import InvalidSettingsError, read_settings
from ondeck_store.database import DatabaseUnreachableError, open_database
from ondeck_store.embedded.account import EmbeddedPostgresError, account_of
from ondeck_store.embedded.cluster import Cluster
from ondeck_store.settings import StoreSettings, hosts_of, parse_url
from tests.conformance.stock_client import SECONDS, wait_until

HOLD = """
import asyncio, sys
from pathlib import Path
from ondeck_store.database import open_database
from ondeck_runtime.settings import InvalidSettingsError, read_settings
from ondeck_store.settings import StoreSettings, parse_url
async def hold():
    async with open_database(StoreSettings(home=Path(sys.argv[1]))):
        print("open", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
asyncio.run(hold())
"""


def cluster_in(home: Path) -> Cluster:
    return Cluster(folder=home / "postgres", log=home / "logs" / "postgres.log")


def holder(home: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def release(process: "subprocess.Popen[str]") -> None:
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


async def answer(home: Path) -> int:
    async with open_database(StoreSettings(home=home)) as database, database.engine.connect() as connection:
        return int((await connection.exec_driver_sql("SELECT 42")).scalar_one())


async def test_a_home_has_its_own_server_which_stops_with_its_last_user(tmp_path: Path) -> None:
    assert await answer(tmp_path) == 42
    assert not cluster_in(tmp_path).is_running()
    assert await answer(tmp_path) == 42


def test_programs_share_a_server_and_the_last_one_stops_it(tmp_path: Path) -> None:
    first, second = holder(tmp_path), holder(tmp_path)
    release(first)
    assert cluster_in(tmp_path).is_running()
    release(second)
    assert not cluster_in(tmp_path).is_running()


async def test_a_killed_user_leaves_a_server_that_the_next_one_joins_and_stops(tmp_path: Path) -> None:
    killed = holder(tmp_path)
    killed.kill()
    killed.wait()
    assert cluster_in(tmp_path).is_running()
    assert await answer(tmp_path) == 42
    assert not cluster_in(tmp_path).is_running()


async def test_a_killed_server_is_recovered_by_the_next_user(tmp_path: Path) -> None:
    user = holder(tmp_path)
    postmaster = int((tmp_path / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
    os.kill(postmaster, signal.SIGKILL)
    user.kill()
    user.wait()
    assert wait_until(SECONDS, lambda: not psutil.pid_exists(postmaster))  # process exit is slow on a busy machine
    assert await answer(tmp_path) == 42


async def test_the_rights_of_the_folders_above_stay_as_they_are(tmp_path: Path) -> None:
    outer = tmp_path / "outer"
    outer.mkdir(mode=0o700)
    before = stat.S_IMODE(outer.stat().st_mode), stat.S_IMODE(tmp_path.stat().st_mode)
    assert await answer(outer / "home") == 42
    assert (stat.S_IMODE(outer.stat().st_mode), stat.S_IMODE(tmp_path.stat().st_mode)) == before
    assert stat.S_IMODE((outer / "home" / "postgres" / "data").stat().st_mode) == 0o700


async def test_a_home_too_deep_for_a_socket_path_leaves_no_folder_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    for _ in range(2):
        assert await answer(deep) == 42
        killed = holder(deep)
        killed.kill()
        killed.wait()
    assert await answer(deep) == 42
    assert list(temporary.iterdir()) == []


def test_without_proc_a_deep_home_has_one_private_folder_for_its_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cluster, account = cluster_in(tmp_path / ("d" * 100)), account_of(tmp_path)
    folder = cluster._temporary_socket_folder(account)
    assert cluster._temporary_socket_folder(account) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert cluster._choose_socket_folder(str(cluster.data), account) == f'"{folder}"'
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(EmbeddedPostgresError, match="is not a private folder of user"):
        cluster._temporary_socket_folder(account)


async def test_a_cluster_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    assert await answer(tmp_path) == 42
    (tmp_path / "postgres" / "data" / "global" / "pg_control").write_bytes(b"not this")
    with pytest.raises(EmbeddedPostgresError, match="pg_control"):
        await answer(tmp_path)


@pytest.mark.parametrize("there_is", ["a file", "a folder below a file"])
async def test_an_impossible_home_is_refused_by_name(tmp_path: Path, there_is: str) -> None:
    (tmp_path / "home").touch()
    home = tmp_path / "home" if there_is == "a file" else tmp_path / "home" / "below"
    with pytest.raises(EmbeddedPostgresError, match=rf"{home}/postgres \(.+\); .* ONDECK_HOME or --home"):
        await answer(home)


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("postgresql://u:secret@127.0.0.1:port/x", "should look like postgresql://user@host:5432/name"),
        ("mysql://u:secret@127.0.0.1/x", "should look like postgresql://user@host:5432/name"),
        ("nowhere secret", "should look like postgresql://user@host:5432/name"),
        ("postgresql:///secret", "should look like postgresql://user@host:5432/name"),
        ("postgresql://u:secret@h/x?connect_timeout=5", "has the parameter 'connect_timeout'; known are host, port, "),
        ("postgresql://u@h/x?password=secret", "has the parameter 'password'; known are host, port, sslmode"),
        ("postgresql://u:p@h/x?secret=1", "has an unknown parameter; known are host, port, sslmode"),
        ("postgresql://u:p@secret@h/x", "with @ as %40 and / as %2F in a password"),
        ("postgresql://u:p@se/cret@h/x?secret", "with @ as %40 and / as %2F in a password"),
        ("host=h user=u password=secret", "should look like postgresql://user@host:5432/name"),
        ("postgresql://u:p@h/x?port=secret", "has a port that is no number"),
        ("postgresql://u:p@/x?host=a,b&port=1,2,3", "has 2 hosts and 3 ports"),
    ],
)
def test_an_invalid_database_url_is_refused_without_printing_it(url: str, complaint: str) -> None:
    with pytest.raises(InvalidSettingsError, match="ONDECK_DATABASE_URL: ") as refused:
        read_settings(StoreSettings, database_url=url)
    assert complaint in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_a_postgres_url_scheme_is_accepted(scheme: str) -> None:
    url = parse_url(f"{scheme}://u:p@h:6432/x?sslmode=require")
    assert (url.drivername, url.host, url.port, dict(url.query)) == (
        "postgresql+asyncpg",
        "h",
        6432,
        {"ssl": "require"},
    )


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("host=a", [("a", 5432)]),
        ("host=a,b&port=1", [("a", 1), ("b", 1)]),
        ("host=a,b&port=1,2", [("a", 1), ("b", 2)]),
        ("host=a:1&host=b", [("a", 1), ("b", 5432)]),
        ("host=/run/Acme, Inc/pg", [("/run/Acme, Inc/pg", 5432)]),
        ("host=%2Frun%2Fa%2Cb&port=7", [("/run/a,b", 7)]),
        ("host=/run/a,/run/b", [("/run/a", 5432), ("/run/b", 5432)]),
        ("host=/a,b&host=/c:1", [("/a,b", 5432), ("/c:1", 5432)]),
    ],
)
def test_a_comma_in_a_path_separates_no_hosts(query: str, hosts: list[tuple[str, int]]) -> None:
    assert hosts_of(parse_url(f"postgresql://u@/x?{query}")) == hosts


async def test_a_configured_server_may_have_its_socket_in_a_folder_of_any_name(tmp_path: Path) -> None:
    async with open_database(StoreSettings(home=tmp_path / 'Bob\'s "project", Inc $HOME')) as own:
        folder = tmp_path / "a, b:1 $HOME"
        folder.symlink_to(str(own.engine.url.query["host"]))
        url = f"postgresql://ondeck@/ondeck?host={quote(str(folder))}"
        async with open_database(StoreSettings(database_url=url)) as named, named.engine.connect() as connection:
            assert (await connection.exec_driver_sql("SELECT 42")).scalar_one() == 42


async def test_a_server_without_tls_is_unreachable_if_tls_is_required(tmp_path: Path) -> None:
    async with open_database(StoreSettings(home=tmp_path)) as own:
        folder, port = own.engine.url.query["host"], own.engine.url.query["port"]
        url = f"postgresql://ondeck@/ondeck?host={folder}&port={port}&sslmode=nonsense"
        with pytest.raises(DatabaseUnreachableError, match="sslmode"):
            async with open_database(StoreSettings(database_url=url)):
                pass


async def test_an_unreachable_server_is_named_without_its_password() -> None:
    settings = StoreSettings(database_url="postgresql://someone:secret@127.0.0.1:9/nothing")
    with pytest.raises(DatabaseUnreachableError, match=r"someone:\*\*\*@127\.0\.0\.1:9") as refused:
        async with open_database(settings):
            pass
    assert "secret" not in str(refused.value)


async def test_a_configured_server_is_used_unchanged(tmp_path: Path) -> None:
    async with open_database(StoreSettings(home=tmp_path)) as own:
        folder, port = own.engine.url.query["host"], own.engine.url.query["port"]
        url = f"postgresql://ondeck@/ondeck?host={folder}&port={port}"
        async with open_database(StoreSettings(database_url=url)) as named, named.engine.connect() as connection:
            assert (await connection.exec_driver_sql("SELECT current_user")).scalar_one() == "ondeck"
    await asyncio.sleep(0)
