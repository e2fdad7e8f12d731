"""Each command that opens a database of a newer release says so in one sentence, and ends."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from ondeck_store.migrations import open_migrated
from ondeck_store.settings import StoreSettings

COMMANDS = (
    "ingest status",
    "ingest files EXPORT",
    "ingest days 2024-06-01",
    "ingest worker",
    "ingest quarantine list",
    "players resolve Soto",
    "players unresolved",
    "train whiff",
    "evaluate whiff --since 2024-06-01",
)


@pytest.fixture(scope="module")
async def newer_home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    home = tmp_path_factory.mktemp("newer")
    async with open_migrated(StoreSettings(home=home)) as database:
        async with database.engine.begin() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0099'"))
        yield home


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_refuses_the_database_of_a_newer_release(newer_home: Path, tmp_path: Path, words: str) -> None:
    export = tmp_path / "day.csv"
    export.write_text("game_pk\n1\n")
    command = [sys.executable, "-m", "ondeck_cli", *words.replace("EXPORT", str(export)).split()]
    done = subprocess.run(
        [*command, "--home", str(newer_home)], capture_output=True, text=True, check=False, timeout=120
    )
    errors = [line for line in done.stderr.splitlines() if "newer Ondeck" in line]
    assert (done.returncode, len(errors)) == (1, 1), done.stderr
    assert "schema 0099" in errors[0]
    assert "Traceback" not in done.stdout + done.stderr
