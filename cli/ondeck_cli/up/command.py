"""`ondeck up`: the whole on one machine. The database first, then server and ingest worker; the other way out."""

import asyncio
import signal
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ondeck_cli.up.children import Child
from ondeck_cli.up.subscriber import follow
from ondeck_core.errors import OndeckError
from ondeck_server.settings import ServerSettings
from ondeck_store.database import Database, open_database
from ondeck_store.migrations import migrate
from ondeck_store.settings import read_settings

SERVER, INGEST, SIMULATED = "server", "ingest", "simulated"


class NotUpError(OndeckError):
    """The server ended before it served."""


@click.command()
@click.option("--simulate", is_flag=True, help="Play a labelled simulated game day through ingest; touches no network.")
@click.option("--seconds", type=click.FloatRange(0), default=60.0, show_default=True, help="How long that day takes.")
@click.option("--home", type=click.Path(path_type=Path), help="Home folder (ONDECK_HOME).")
@click.option("--database-url", help="A PostgreSQL server instead of the embedded one (ONDECK_DATABASE_URL).")
@click.option("--models", type=click.Path(path_type=Path), help="The model repository (ONDECK_MODELS).")
@click.option("--host", help="Address to listen on (ONDECK_HOST).")
@click.option("--port", type=int, help="gRPC port (ONDECK_PORT).")
@click.option("--admin-port", type=int, help="HTTP port of the admin pages (ONDECK_ADMIN_PORT).")
def up(*, simulate: bool, seconds: float, **flags: object) -> None:
    """Run everything on this machine until Ctrl-C or SIGTERM: database, models, gRPC server, ingest worker."""
    asyncio.run(_Up(read_settings(ServerSettings, **flags), simulate=simulate, seconds=seconds).run())


class _Up:
    """One run of everything."""

    def __init__(self, settings: ServerSettings, *, simulate: bool, seconds: float) -> None:
        self._settings = settings
        self._simulate = ["--simulate", "--seconds", str(seconds)] if simulate else []
        self._stop = asyncio.Event()
        self._serving = asyncio.Event()
        self._target = ""

    async def run(self) -> None:
        """Start, say so, wait for the end, and end it all in the opposite order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with AsyncExitStack() as stack:
            database = await stack.enter_async_context(open_database(self._settings))
            await migrate(database.engine)
            self._tell("database", database.described)
            await self._run_children(database)
        click.echo("ondeck is down")

    async def _run_children(self, database: Database) -> None:
        server, ingest = self._children()
        running = asyncio.create_task(server.keep_running(give_up=self._server_is_given_up))
        tasks: list[asyncio.Task[Any]] = [running]
        try:
            await _first_of(running, asyncio.create_task(self._serving_or_stop()))
            if running.done():
                raise NotUpError("the server ended before it served; its reason stands above")
            tasks.append(asyncio.create_task(ingest.keep_running(give_up=self._stop.is_set)))
            if self._simulate:
                tasks.append(asyncio.create_task(self._subscribe(database)))
            await self._stop.wait()
        finally:
            self._stop.set()
            await asyncio.gather(ingest.end(), server.end())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _children(self) -> tuple[Child, Child]:
        settings = self._settings
        store = ["--home", str(settings.home)]
        store += [] if settings.database_url is None else ["--database-url", settings.database_url]
        listen = ["--host", settings.host, "--port", str(settings.port), "--admin-port", str(settings.admin_port)]
        server = Child(name=SERVER, words=["serve", *listen, "--models", str(settings.models)], tell=self._tell)
        return server, Child(name=INGEST, words=["ingest", "worker", *self._simulate, *store], tell=self._tell)

    def _server_is_given_up(self) -> bool:
        return self._stop.is_set() or not self._serving.is_set()

    async def _subscribe(self, database: Database) -> None:
        today = datetime.now(UTC).date()
        await follow(database.engine, self._target, today, lambda line: self._tell(SIMULATED, line))

    def _tell(self, name: str, line: str) -> None:
        click.echo(f"[{name}] {line}")
        if name == SERVER and line.startswith("serving ") and not self._serving.is_set():
            self._target = line.partition(" on ")[2].partition(";")[0]
            click.echo(
                "\nOndeck is up. Ask it from another terminal:\n"
                f"  .venv/bin/ondeck predict batted-ball --launch-speed 108 --launch-angle 27 --spray-angle 0"
                f" --target {self._target}\nEnd it with Ctrl-C.\n"
            )
            self._serving.set()

    async def _serving_or_stop(self) -> None:
        serving, stop = asyncio.create_task(self._serving.wait()), asyncio.create_task(self._stop.wait())
        await _first_of(serving, stop)


async def _first_of(first: asyncio.Task[Any], second: asyncio.Task[Any]) -> None:
    """Wait until one of two is done; `second` is cancelled if it is not."""
    await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
    second.cancel()
