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
from ondeck_server.supervisor.main import serve as run
from ondeck_server.supervisor.pidfile import ServerProcess, is_server, running


class NothingToReloadError(OndeckError):
    """No server runs that is meant, or more than one."""


@click.command()
@click.option("--host", help="Address to listen on (ONDECK_HOST).")
@click.option("--port", type=int, help="gRPC port, 0 for any free one (ONDECK_PORT).")
@click.option("--admin-port", type=int, help="HTTP port of the admin pages, 0 for any free one (ONDECK_ADMIN_PORT).")
@click.option("--home", type=click.Path(path_type=Path), help="Home folder, for its database of players (ONDECK_HOME).")
@click.option("--database-url", help="A PostgreSQL server with the players (ONDECK_DATABASE_URL).")
@click.option(
    "--model-repository", type=click.Path(path_type=Path), help="The model repository (ONDECK_MODEL_REPOSITORY)."
)
@click.option(
    "--version-policy",
    help="Versions to load beside those with an alias, as latest:2 or whiff=all (ONDECK_VERSION_POLICY).",
)
@click.option("--workers", type=int, help="Processes that answer calls; default: the cores (ONDECK_WORKERS).")
@click.option(
    "--ready-format",
    type=click.Choice(["text", "json"]),
    default="text",
    hidden=True,  # for programs that start a server, as `ondeck up` does
    help="Format of the line that is printed when the server accepts calls.",
)
def serve(*, ready_format: str, **flags: object) -> None:
    """Serve the models over gRPC, with health, reflection and admin pages, until SIGTERM."""
    logging = _logging(**click.get_current_context().find_root().params)
    asyncio.run(run(read_settings(ServerSettings, **flags), logging, PRINT_READY[ready_format]))


@click.command()
@click.option("--home", type=click.Path(path_type=Path), help="Home folder of the server (ONDECK_HOME).")
@click.option("--pid", type=click.IntRange(1), help="The server's process, where there are several.")
def reload(*, home: Path | None, pid: int | None) -> None:
    """Have a running server replace its processes one at a time, while it goes on answering."""
    chosen = _found(Path(read_settings(ServerSettings, home=home).home)) if pid is None else pid
    if pid is not None and not is_server(pid):
        raise NothingToReloadError(f"process {pid} is no ondeck serve")
    os.kill(chosen, signal.SIGHUP)
    click.echo(f"process {chosen} replaces its workers, one at a time; its log tells of each")


def _found(home: Path) -> int:
    servers = running(home)
    if not servers:
        raise NothingToReloadError(
            f"no server runs with the home folder {home} (ONDECK_HOME or --home; or name it by --pid)"
        )
    if len(servers) > 1:
        raise NothingToReloadError(f"several servers run; choose one: {', '.join(map(_named, servers))}")
    return servers[0].pid


def _named(server: ServerProcess) -> str:
    return f"--pid {server.pid} (port {server.port})"


def _logging(log_level: str = "info", log_format: str | None = None) -> LogConfig:
    return LogConfig(level=log_level, form=log_format or ("text" if sys.stderr.isatty() else "json"))


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
