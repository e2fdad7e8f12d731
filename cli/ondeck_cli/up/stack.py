"""One run of everything: the database first, then server and ingest worker; the opposite way out."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import UTC, datetime

import click

from ondeck_cli.remote import default_target
from ondeck_cli.up.demo_subscriber import follow
from ondeck_cli.up.health import until_serving
from ondeck_cli.up.process import ManagedProcess
from ondeck_cli.up.ready_line import ReadyLine, announced, how_to_ask
from ondeck_core.errors import OndeckError
from ondeck_ingest.sources.simulator import game_pk_of
from ondeck_server.settings import ServerSettings
from ondeck_store.database import Database, open_database
from ondeck_store.migrations import migrate
from ondeck_store.pitches.queries import simulated_games
from ondeck_store.settings import PREFIX, StoreSettings

DATABASE, SERVER, INGEST, SIMULATED = "database", "server", "ingest", "simulated"


class StackStartError(OndeckError):
    """The server ended before it took calls."""


class Stack:
    """Everything that `ondeck up` runs; `log_words` and `simulate` are words for the commands that it starts."""

    def __init__(self, settings: ServerSettings, *, log_words: Sequence[str], simulate: Sequence[str]) -> None:
        self._settings = settings
        self._simulate = bool(simulate)
        words = [*log_words, "serve", *_server_words(settings)]
        ingest_words = [*log_words, "ingest", "worker", *simulate, *_home_words(settings)]
        environment = _environment(settings)
        self._server = ManagedProcess(name=SERVER, words=words, tell=self._tell, environment=environment)
        self._ingest = ManagedProcess(name=INGEST, words=ingest_words, tell=self._tell, environment=environment)
        self._stop = asyncio.Event()
        self._taking_calls = asyncio.Event()
        self._where: ReadyLine | None = None
        self._game_pk: int | None = None

    async def run(self) -> None:
        """Start, say so, wait for SIGTERM or SIGINT, and end it all.

        Raises:
            StackStartError: the server ended before it took calls.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        async with open_database(self._settings) as database:
            await migrate(database.engine)
            self._tell(DATABASE, database.described)
            self._game_pk = await _next_game(database) if self._simulate else None
            await self._run_programs(database)
        click.echo("ondeck is down")

    async def _run_programs(self, database: Database) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        serving = asyncio.create_task(self._server.keep_running(worth_restarting=self._taking_calls.is_set))
        ingesting = asyncio.create_task(self._ingest_once_served())
        telling = asyncio.create_task(self._tell_of(database))
        try:
            done, _ = await asyncio.wait({stopping, serving, ingesting, telling}, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if stopping not in done:
                raise StackStartError("the server ended before it took calls; its last lines say why")
        finally:
            stopping.cancel()
            telling.cancel()
            await asyncio.gather(self._ingest.end(), self._server.end())
            self._taking_calls.set()  # lets go of whoever still waits for the server
            await asyncio.gather(stopping, serving, ingesting, telling, return_exceptions=True)

    async def _ingest_once_served(self) -> None:
        await self._taking_calls.wait()
        await self._ingest.keep_running()

    async def _tell_of(self, database: Database) -> None:
        await self._taking_calls.wait()
        if self._where is not None:
            await until_serving(self._where.admin)
            click.echo(how_to_ask(self._where, default_target(ServerSettings.model_construct())))
            if self._game_pk is not None:
                await self._follow(database, self._where.target, self._game_pk)
        await self._stop.wait()

    async def _follow(self, database: Database, target: str, game_pk: int) -> None:
        await follow(database.engine, target, game_pk, lambda line: self._tell(SIMULATED, line))

    def _tell(self, name: str, line: str) -> None:
        click.echo(f"[{name}] {line}")
        if name == SERVER and (where := announced(line)) is not None:
            self._where = where
            self._taking_calls.set()


async def _next_game(database: Database) -> int:
    day = datetime.now(UTC).date()
    async with database.engine.connect() as connection:
        return game_pk_of(day, await simulated_games(connection, day))


def _server_words(settings: ServerSettings) -> list[str]:
    listen = ["--host", settings.host, "--port", str(settings.port), "--admin-port", str(settings.admin_port)]
    return [*listen, "--model-repository", str(settings.model_repository), *_home_words(settings)]


def _home_words(settings: StoreSettings) -> list[str]:
    return ["--home", str(settings.home)]


def _environment(settings: StoreSettings) -> dict[str, str]:
    """Name the database where not every user of the machine reads it: it may hold a password."""
    return {} if settings.database_url is None else {f"{PREFIX}DATABASE_URL": settings.database_url}
