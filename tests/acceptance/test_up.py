"""`ondeck up` as a real process, observed through its output."""

import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from types import MappingProxyType

import psutil
import pytest

from ondeck_cli.up.stack import Stack, free_port
from ondeck_client import BattedBall, Client
from ondeck_ingest.sources.simulator import simulated_game_pk
from ondeck_server.settings import ServerSettings
from ondeck_store.database import open_database
from ondeck_store.pitches.queries import read_day_range, read_simulated, simulated_games
from ondeck_store.settings import StoreSettings
from tests.fixtures.tls import Authority

PATIENCE = 90
UNPRIVILEGED_ID = 65534  # an account without files, named in every user database
INGESTED = r"\[ingest\] simulated: (?P<rows>\d+) rows in: (?P=rows) new, 0 changed, 0 unchanged, 0 quarantined"


class Up:
    """A running `ondeck up`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._fresh: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, pattern: str) -> re.Match[str]:
        deadline = time.monotonic() + PATIENCE
        while (line := self._fresh.get(timeout=deadline - time.monotonic())) is not None:
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"it ended without {pattern!r}:\n" + "\n".join(self.lines))

    def wait_for_each(self, *patterns: str) -> list[re.Match[str]]:
        """Wait until every pattern was printed, in any order: two programs print concurrently."""
        first = len(self.lines)
        self.wait_for("|".join(f"(?:{pattern})" for pattern in patterns))
        while missing := [pattern for pattern in patterns if self._find(pattern, first) is None]:
            self.wait_for("|".join(f"(?:{pattern})" for pattern in missing))
        return [found for pattern in patterns if (found := self._find(pattern, first))]

    def _find(self, pattern: str, first: int) -> re.Match[str] | None:
        return next((found for line in self.lines[first:] if (found := re.search(pattern, line))), None)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._fresh.put(line.rstrip("\n"))
        self._fresh.put(None)


@contextmanager
def up(
    home: Path,
    models: Path,
    *words: str,
    environment: Mapping[str, str] = MappingProxyType({}),
    python: str = sys.executable,
    user: int | None = None,
) -> Iterator[Up]:
    """Run `ondeck up` during the block; for another user than the current one, `python` is one that they can reach."""
    command = [python, "-m", "ondeck_cli", "up", "--home", str(home), "--model-repository", str(models), *words]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **environment},
        user=user,
        group=user,
        extra_groups=None if user is None else [],
    )
    try:
        yield Up(process)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


ANY_PORT = ("--port", "0", "--admin-port", "0")


@pytest.fixture
def models(root: Path) -> Path:
    return root / "onnx_models"


async def test_up_serves_a_simulated_day_and_leaves_nothing_behind(tmp_path: Path, models: Path) -> None:
    home = tmp_path / "home"
    with up(home, models, "--simulate", "--seconds", "3", *ANY_PORT) as running:
        target = running.wait_for(
            r"serving batted_ball \d+, called_strike \d+, pitch_outcome \d+, whiff \d+ on (\S+);"
        )[1]
        running.wait_for(r"ondeck predict batted-ball .* --target " + re.escape(target))
        ingested, _ = running.wait_for_each(
            INGESTED, r"\[simulated\] inning \d+: \d+ pitches stored, \d+ taken; [\d.]+ strikes predicted, \d+ called"
        )
        stored = int(ingested[1])
        with Client(target) as client:
            answer = client.predict("batted_ball", BattedBall(launch_speed=108, launch_angle=27, spray_angle=0))
        assert answer.batted_ball.xba > 0.5
        started = [running.process, *psutil.Process(running.process.pid).children(recursive=True)]
        assert running.end() == 0
        running.wait_for("ondeck is down")
    assert not [each.pid for each in started if psutil.pid_exists(each.pid)]
    async with open_database(StoreSettings(home=home)) as database, database.engine.connect() as connection:
        assert await read_day_range(connection) is None
        day = find_today(running)
        rows = await read_simulated(connection, game_pk=simulated_game_pk(day, 0))
        assert await simulated_games(connection, day) == 1
    assert rows.height == stored
    with up(home, models, "--simulate", "--seconds", "1", *ANY_PORT) as again:  # another game
        again.wait_for_each(INGESTED, r"\[simulated\] inning \d+: \d+ pitches stored")
        assert again.end() == 0


def test_a_folder_may_have_any_name(tmp_path: Path, models: Path) -> None:
    folder = tmp_path / 'Bob\'s "project", Inc $HOME'
    copied = shutil.copytree(models, folder / "onnx_models")
    with up(folder / ".ondeck", copied, "--simulate", "--seconds", "1", *ANY_PORT) as running:
        target = running.wait_for(r"serving .* on (\S+);")[1]
        running.wait_for_each(INGESTED, r"\[simulated\] inning \d+: \d+ pitches stored")
        with Client(target) as client:
            assert client.predict("batted_ball", BattedBall(launch_speed=100, launch_angle=20)).outcomes
        assert running.end() == 0


def public_python() -> str:
    """Return an interpreter of this version that every user can execute."""
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{name}", f"/usr/local/bin/{name}"):
        with suppress(OSError):
            if subprocess.run([path, "-c", "import ssl"], user=UNPRIVILEGED_ID, cwd="/", check=False).returncode == 0:
                return path
    pytest.skip(f"no {name} that every user can execute")


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root can do")
def test_a_user_without_privileges_ingests_and_serves(models: Path) -> None:
    imported = [path for path in sys.path if path and not Path(path).is_relative_to(sys.base_prefix)]
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        environment = {"HOME": folder, "PYTHONPATH": os.pathsep.join(imported), "PYTHONDONTWRITEBYTECODE": "1"}
        words = ("--simulate", "--seconds", "1", *ANY_PORT)
        home = Path(folder) / "home"
        with up(home, models, *words, environment=environment, python=public_python(), user=UNPRIVILEGED_ID) as running:
            running.wait_for_each(INGESTED, r"\[simulated\] inning \d+: \d+ pitches stored")
            postmaster = int((home / "postgres/data/postmaster.pid").read_text().splitlines()[0])
            assert psutil.Process(postmaster).uids().real == UNPRIVILEGED_ID
            assert "peer" in (home / "postgres/data/pg_hba.conf").read_text()
            assert running.end() == 0


def test_no_command_line_shows_a_password(tmp_path: Path, models: Path) -> None:
    url = "postgresql://ondeck:S3cretPw@127.0.0.1:9/nowhere"
    settings = ServerSettings(home=tmp_path, model_repository=models, database_url=url)
    everything = Stack(settings, log_options=[], simulate=[], ingest_admin_port=free_port())
    for child in (everything._server, everything._ingest):
        assert "S3cretPw" not in " ".join(child.words)
        assert child.environment["ONDECK_DATABASE_URL"] == url


def find_today(running: Up) -> date:
    return date.fromisoformat(next(found[1] for line in running.lines if (found := re.search(r"day=(\S+)", line))))


def test_an_unreachable_savant_is_reported_and_retried_while_the_server_serves(tmp_path: Path, models: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        unreachable = f"http://127.0.0.1:{closed.getsockname()[1]}"
        settings = {"ONDECK_SAVANT_ATTEMPTS": "1", "ONDECK_LOOKBACK_DAYS": "366"}  # a year includes a season
        settings["ONDECK_SAVANT_URL"] = unreachable
        with up(tmp_path / "home", models, *ANY_PORT, environment=settings) as running:
            target = running.wait_for(r"serving .* on (\S+);")[1]
            for _ in range(2):
                running.wait_for(rf"\[ingest\].* job_failed .* next_try=.* reason='{unreachable} cannot be reached'")
            with Client(target) as client:
                assert client.predict("batted_ball", BattedBall(launch_speed=100, launch_angle=20)).outcomes
            assert running.end() == 0


def test_a_server_with_tls_is_recognized_as_ready(tmp_path: Path, models: Path, authority: Authority) -> None:
    own = authority.sign("127.0.0.1")
    secured = {"ONDECK_TLS_CERTIFICATE": str(own.certificate), "ONDECK_TLS_KEY": str(own.key)}
    secured["ONDECK_SAVANT_URL"] = "http://127.0.0.1:9"
    with up(tmp_path / "home", models, *ANY_PORT, environment=secured) as running:
        running.wait_for("Ondeck is up")
        assert running.end() == 0


def test_a_server_that_cannot_start_ends_up_with_its_reason(tmp_path: Path, models: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with up(tmp_path / "home", models, "--port", port, "--admin-port", "0") as running:
            running.wait_for(rf"\[server\] error: cannot listen on 127.0.0.1:{port}")
            running.wait_for("error: the server exited before it accepted calls")
            assert running.process.wait(timeout=60) == 1


def test_a_server_that_dies_is_restarted(tmp_path: Path, models: Path) -> None:
    with up(tmp_path / "home", models, "--simulate", "--seconds", "1", *ANY_PORT) as running:
        running.wait_for("Ondeck is up")
        server = next(each for each in psutil.Process(running.process.pid).children() if "serve" in each.cmdline())
        server.kill()
        running.wait_for(r"\[server\] ended with exit code -9; starting again in 0.5 s")
        target = running.wait_for(r"serving .* on (\S+);")[1]
        with Client(target) as client:
            assert client.predict("batted_ball", BattedBall(launch_speed=100, launch_angle=20)).outcomes
        assert running.end() == 0


def test_a_wrong_setting_is_refused_before_anything_starts(tmp_path: Path, models: Path) -> None:
    with up(tmp_path / "home", models, environment={"ONDECK_SAVANT_URL": "savant"}) as running:
        running.wait_for("error: ONDECK_SAVANT_URL=savant: ")
        assert running.process.wait(timeout=30) == 1
    assert not (tmp_path / "home").exists()
