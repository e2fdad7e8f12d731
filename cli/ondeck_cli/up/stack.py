"""`ondeck up`: start the database, then the server, then the ingest worker; stop them in reverse order."""

import asyncio
import json
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import click

from ondeck_cli.remote import TargetSettings, format_target
from ondeck_cli.up.process import ManagedProcess
from ondeck_cli.up.simulated_game_client import follow_game, next_simulated_game
from ondeck_core.errors import OndeckError
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.logging import printable
from ondeck_runtime.settings import PREFIX, read_settings
from ondeck_runtime.signals import on_stop_signal
from ondeck_runtime.tasks import wait_first
from ondeck_server.settings import ServerSettings
from ondeck_store.database import Database, open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import StoreSettings

DATABASE, SERVER, INGEST, SIMULATED = "database", "server", "ingest", "simulated"
POLL_SECONDS: Final = 0.5
REQUEST_SECONDS: Final = 5.0


class StackStartError(OndeckError):
    """The server exited before it accepted calls."""


@dataclass(frozen=True, kw_only=True)
class ReadyServer:
    """The event that `ondeck serve --ready-format json` prints: host:port of gRPC, URL of the admin pages.

    `not_ready` states why the server is not ready, if it is not; `message` is the event as text.
    """

    address: str
    admin: str
    not_ready: list[str]
    message: str


@click.command()
@click.option("--simulate", is_flag=True, help="Ingest one simulated game instead of real days, without the network.")
@click.option(
    "--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="Duration of the simulated game."
)
@click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
@click.option("--database-url", help="PostgreSQL server instead of the embedded one (ONDECK_DATABASE_URL).")
@click.option("--model-repository", type=click.Path(path_type=Path), help="Model repository (ONDECK_MODEL_REPOSITORY).")
@click.option("--host", help="Address to listen on (ONDECK_HOST).")
@click.option("--port", type=int, help="gRPC port; 0: any free port (ONDECK_PORT).")
@click.option("--admin-port", type=int, help="HTTP port of the admin pages; 0: any free port (ONDECK_ADMIN_PORT).")
def up(*, simulate: bool, seconds: float, **flags: object) -> None:
    """Run database, server and ingest worker on this machine until Ctrl-C or SIGTERM."""
    settings = read_settings(ServerSettings, **flags)
    ingest = read_settings(IngestSettings)  # invalid settings of the ingest worker fail here, before anything starts
    stack = Stack(
        settings,
        log_options=_log_options(**click.get_current_context().find_root().params),
        simulate=["--simulate", "--seconds", str(seconds)] if simulate else [],
        ingest_admin_port=ingest.ingest_admin_port or free_port(),
    )
    asyncio.run(stack.run())


class Stack:
    """The programs of `ondeck up`; `log_options` and `simulate` are options for the commands that it starts.

    The server reads the metrics of the ingest worker on `ingest_admin_port`, for its alerts.
    """

    def __init__(
        self, settings: ServerSettings, *, log_options: Sequence[str], simulate: Sequence[str], ingest_admin_port: int
    ) -> None:
        self._settings = settings
        self._simulate = bool(simulate)
        home = ["--home", str(settings.home)]
        serve = [*log_options, "serve", *_listen_options(settings), *home, "--ready-format", "json"]
        ingest = [*log_options, "ingest", "worker", *simulate, *home]
        environment = _environment(settings) | _monitoring(settings, ingest_admin_port)
        self._server = ManagedProcess(name=SERVER, words=serve, on_line=self._print, environment=environment)
        self._ingest = ManagedProcess(name=INGEST, words=ingest, on_line=self._print, environment=environment)
        self._stop = asyncio.Event()
        self._accepting = asyncio.Event()
        self._ready: ReadyServer | None = None
        self._game_pk: int | None = None

    async def run(self) -> None:
        """Start everything, run until SIGTERM or SIGINT, and stop everything.

        Raises:
            StackStartError: the server exited before it accepted calls.
        """
        on_stop_signal(self._stop.set)
        async with open_database(self._settings) as database:
            await migrate(database.engine)
            self._print(DATABASE, database.described)
            self._game_pk = await next_simulated_game(database.engine) if self._simulate else None
            await self._run_programs(database)
        click.echo("ondeck is down")

    async def _run_programs(self, database: Database) -> None:
        server = asyncio.create_task(self._server.keep_running(should_restart=self._accepting.is_set))
        ingest = asyncio.create_task(self._run_ingest())
        greeting = asyncio.create_task(self._greet(database))
        tasks = (server, ingest, greeting)
        try:
            await wait_first(self._stop, *tasks)
            for task in tasks:
                if task.done():
                    task.result()
            if not self._stop.is_set():
                raise StackStartError("the server exited before it accepted calls; its last lines state the reason")
        finally:
            greeting.cancel()
            await asyncio.gather(self._ingest.stop(), self._server.stop())
            self._accepting.set()  # releases the ingest task if the server never accepted calls
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_ingest(self) -> None:
        await self._accepting.wait()
        await self._ingest.keep_running()

    async def _greet(self, database: Database) -> None:
        """Print how to call the server once it is ready; follow the simulated game if there is one."""
        await self._accepting.wait()
        if self._ready is not None:
            await wait_ready(self._ready.admin)
            click.echo(instructions(self._ready))
            if self._game_pk is not None:
                await follow_game(
                    database.engine, self._ready.address, self._game_pk, lambda line: self._print(SIMULATED, line)
                )
        await self._stop.wait()

    def _print(self, name: str, line: str) -> None:
        if name == SERVER and (ready := parse_ready(line)) is not None:
            line, self._ready = ready.message, ready
            self._accepting.set()
        click.echo(f"[{name}] {printable(line)}")


def parse_ready(line: str) -> ReadyServer | None:
    """Parse a line of the server as its `server_ready` event; None: it is another line."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    names = ("address", "admin", "not_ready", "message")
    if event.get("event") != "server_ready" or not set(names) <= event.keys():
        return None
    return ReadyServer(**{name: event[name] for name in names})


async def wait_ready(admin: str) -> None:
    """Poll /readyz of the admin pages until it succeeds; unlike gRPC, they need no TLS files."""
    timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        while not await _is_ok(session, f"{admin}/readyz"):  # noqa: ASYNC110  another process sends no event
            await asyncio.sleep(POLL_SECONDS)


async def _is_ok(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as response:
            return response.ok
    except (aiohttp.ClientError, TimeoutError):
        return False


def instructions(server: ReadyServer) -> str:
    """Return the commands that call the server; --target is left out where it is the default."""
    default = TargetSettings.model_construct()
    target = "" if server.address == format_target(default.host, default.port) else f" --target {server.address}"
    return f"""
Ondeck is up. Call it from another terminal:
  .venv/bin/ondeck predict batted-ball --launch-speed 108 --launch-angle 27 --spray-angle 0{target}
  .venv/bin/ondeck models list --target {server.address}
Health: grpc_health_probe -addr={server.address}, or {server.admin}/readyz
Stop it with Ctrl-C.
"""


def _log_options(log_level: str, log_format: str | None) -> list[str]:
    return ["--log-level", log_level, "--log-format", log_format or "text"]


def _listen_options(settings: ServerSettings) -> list[str]:
    listen = ["--host", settings.host, "--port", str(settings.port), "--admin-port", str(settings.admin_port)]
    return [*listen, "--model-repository", str(settings.model_repository)]


def free_port() -> int:
    """Return a port of the loopback that nothing uses now."""
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port: int = reserved.getsockname()[1]
    return port


def _monitoring(settings: ServerSettings, ingest_admin_port: int) -> dict[str, str]:
    targets = settings.alert_targets or (f"{INGEST}=http://127.0.0.1:{ingest_admin_port}/metrics",)
    return {f"{PREFIX}INGEST_ADMIN_PORT": str(ingest_admin_port), f"{PREFIX}ALERT_TARGETS": ",".join(targets)}


def _environment(settings: StoreSettings) -> dict[str, str]:
    """Pass the database URL by the environment: it may hold a password, and command lines are visible to all users."""
    return {} if settings.database_url is None else {f"{PREFIX}DATABASE_URL": settings.database_url}
