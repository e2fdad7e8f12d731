"""`ondeck serve` and `ondeck reload`."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final

import click

from ondeck_core.errors import OndeckError
from ondeck_runtime.settings import read_settings
from ondeck_server.ipc.messages import LogConfig
from ondeck_server.settings import ServerSettings
from ondeck_server.supervisor.main import StartedServer
from ondeck_server.supervisor.main import serve as run_server
from ondeck_server.supervisor.pidfile import is_server, running_servers


class NothingToReloadError(OndeckError):
    """No server matches, or more than one."""


@click.command()
@click.option("--host", help="Address to listen on (ONDECK_HOST).")
@click.option("--port", type=int, help="gRPC port; 0: any free port (ONDECK_PORT).")
@click.option("--admin-port", type=int, help="HTTP port of the admin pages; 0: any free port (ONDECK_ADMIN_PORT).")
@click.option(
    "--home", type=click.Path(path_type=Path), help="Home folder, with the database of players (ONDECK_HOME)."
)
@click.option("--database-url", help="PostgreSQL server with the players (ONDECK_DATABASE_URL).")
@click.option("--model-repository", type=click.Path(path_type=Path), help="Model repository (ONDECK_MODEL_REPOSITORY).")
@click.option(
    "--version-policy",
    help="Versions to load besides those with an alias, as latest:2 or whiff=all (ONDECK_VERSION_POLICY).",
)
@click.option("--workers", type=int, help="Worker processes; default: one per CPU core (ONDECK_WORKERS).")
@click.option(
    "--ready-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Format of the line that is printed once the server accepts calls; json for programs that parse it.",
)
def serve(*, ready_format: str, **flags: object) -> None:
    """Serve the models over gRPC, with health, reflection and HTTP admin pages, until SIGTERM."""
    root = click.get_current_context().find_root()
    logging = _logging(root.obj if isinstance(root.obj, Path) else None, **root.params)
    asyncio.run(run_server(read_settings(ServerSettings, **flags), logging, PRINT_READY[ready_format]))


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Home folder of the server (ONDECK_HOME).")
@click.option("--pid", type=click.IntRange(1), help="Process id of the server, if several are running.")
def reload(*, home: Path | None, pid: int | None) -> None:
    """Replace the worker processes of a running server one at a time, without losing calls."""
    chosen = _find_server(Path(read_settings(ServerSettings, home=home).home)) if pid is None else pid
    if pid is not None and not is_server(pid):
        raise NothingToReloadError(f"process {pid} is not an ondeck serve")
    os.kill(chosen, signal.SIGHUP)
    click.echo(f"process {chosen} replaces its workers, one at a time; see its log")


def _find_server(home: Path) -> int:
    servers = running_servers(home)
    if not servers:
        raise NothingToReloadError(
            f"no server is running with the home folder {home} (set ONDECK_HOME or --home, or use --pid)"
        )
    if len(servers) > 1:
        options = [f"--pid {server.pid} (port {server.port})" for server in servers]
        raise NothingToReloadError(f"several servers are running; select one: {', '.join(options)}")
    return servers[0].pid


def _logging(file: Path | None, log_level: str = "info", log_format: str | None = None) -> LogConfig:
    form = log_format or ("text" if sys.stderr.isatty() else "json")
    return LogConfig(level=log_level, form=form, file=str(file or ""))


def _ready_message(started: StartedServer) -> str:
    return f"serving {', '.join(started.serving) or 'nothing'} on {started.address}; admin pages on {started.admin}"


def _print_text(started: StartedServer) -> None:
    click.echo(_ready_message(started))
    for reason in started.missing:
        click.echo(f"not ready: {reason}", err=True)


def _print_json(started: StartedServer) -> None:
    event = {
        "event": "server_ready",
        "address": started.address,
        "admin": started.admin,
        "serving": started.serving,
        "not_ready": started.missing,
        "message": "; ".join([_ready_message(started), *(f"not ready: {reason}" for reason in started.missing)]),
    }
    click.echo(json.dumps(event))


PRINT_READY: Final = {"text": _print_text, "json": _print_json}
