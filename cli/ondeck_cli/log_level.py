"""`ondeck log-level`: change the level of the log of a running server, or of the ingest workers."""

import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

import click
from pydantic import Field

from ondeck_cli.remote import TargetSettings, format_target
from ondeck_core.errors import OndeckError
from ondeck_runtime.logging import LEVELS, level_file
from ondeck_runtime.settings import read_settings
from ondeck_store.settings import StoreSettings

_SECONDS: Final = 10.0
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy reaches this machine


class LevelNotChangedError(OndeckError):
    """The server did not change the level of its log."""


class AdminAddress(TargetSettings):
    """Address of the admin pages that the command calls by default."""

    admin_port: int = Field(default=8080, ge=0, le=65535, description="HTTP port of the admin pages")


@click.command()
@click.argument("level", type=click.Choice(list(LEVELS), case_sensitive=False))
@click.option("--admin", metavar="URL", help="Admin pages of the server; default: ONDECK_HOST and ONDECK_ADMIN_PORT.")
@click.option("--ingest", is_flag=True, help="Change the ingest workers of the home folder instead of a server.")
@click.option("--home", type=click.Path(path_type=Path), help="Home folder of the ingest workers (ONDECK_HOME).")
def log_level(level: str, admin: str | None, home: Path | None, *, ingest: bool) -> None:
    """Change the lowest level that is logged, without a restart.

    It lasts until the program stops. A server changes it in all of its processes; ingest workers read it from the file
    ingest.log-level in the home folder, within two seconds.
    """
    if ingest:
        _write(level_file(read_settings(StoreSettings, home=home).home, "ingest"), level)
        return
    settings = read_settings(AdminAddress)
    _post(admin or f"http://{format_target(settings.host, settings.admin_port)}", level)


def _write(path: Path, level: str) -> None:
    try:
        path.write_text(f"{level}\n")
    except OSError as failed:
        raise LevelNotChangedError(f"{path} cannot be written: {failed.strerror}") from failed
    click.echo(f"ingest workers of {path.parent} log {level} and above, within two seconds")


def _post(admin: str, level: str) -> None:
    url = f"{admin.rstrip('/')}/log-level"
    if not url.startswith(("http://", "https://")):
        raise LevelNotChangedError(f"{admin} is no URL of admin pages, as http://127.0.0.1:8080")
    request = urllib.request.Request(url, data=level.encode(), method="POST")  # noqa: S310  checked above
    try:
        with _DIRECT.open(request, timeout=_SECONDS) as response:
            click.echo(f"the server at {admin} logs {response.read().decode().strip()} and above")
    except urllib.error.HTTPError as refused:
        raise LevelNotChangedError(f"{url} answered {refused.code}: {refused.read().decode().strip()}") from refused
    except OSError as failed:
        raise LevelNotChangedError(f"{url} does not answer: {failed}") from failed
