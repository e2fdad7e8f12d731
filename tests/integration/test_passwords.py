"""No command shows a password, in any spelling and from any place."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from ondeck_runtime.settings import InvalidSettingsError, read_settings
from ondeck_store.database import DatabaseUnreachableError, open_database
from ondeck_store.settings import StoreSettings

SECRET = "Xq7'$,%ü\"z"  # noqa: S105  a value for tests
SPELLINGS = (SECRET, quote(SECRET), quote(SECRET, safe=""), "p@" + SECRET, "p/w@" + SECRET, "two words " + SECRET)
PART = "Xq7"  # begins the password in every spelling


def ondeck(*words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ondeck_cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_unreachable_or_invalid_database_url_shows_no_password(spelling: str) -> None:
    url = f"postgresql://someone:{spelling}@127.0.0.1:9/nowhere"
    with pytest.raises((DatabaseUnreachableError, InvalidSettingsError)) as refused:
        async with open_database(read_settings(StoreSettings, database_url=url)):
            pass
    assert PART not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "status", "postgresql://u:{}@127.0.0.1:9/x"),
        ("ingest", "status", "--database-url", "postgresql://u@127.0.0.1:9/x?password={}"),
        ("players", "refresh", "https://{}@example.test/register.zip"),
    ],
)
def test_a_misplaced_password_is_not_repeated(words: tuple[str, ...]) -> None:
    assert PART not in ondeck(*(word.format(quote(SECRET, safe="")) for word in words))


@pytest.mark.parametrize("user_info", ["u:{}", "{}"])
def test_the_url_of_a_source_shows_no_password(user_info: str, tmp_path: Path) -> None:
    credentials = user_info.format(quote(SECRET, safe=""))
    words = ("ingest", "days", "2024-06-03", "--home", str(tmp_path))
    settings = {"ONDECK_SAVANT_URL": f"http://{credentials}@127.0.0.1:9", "ONDECK_SAVANT_ATTEMPTS": "1"}
    output = ondeck(*words, **settings)
    assert "http://***@127.0.0.1:9 cannot be reached" in output
    assert PART not in output
    assert PART not in ondeck(*words, ONDECK_SAVANT_URL=f"ftp://{credentials}@127.0.0.1:9")
