"""Reads the players from the database; imported only by a server that has one, so that others need no SQLAlchemy."""

from ondeck_core.errors import OndeckError
from ondeck_core.players.index import PlayerSearch
from ondeck_server.players.directory import Snapshot
from ondeck_server.settings import ServerSettings
from ondeck_store.database import DATABASE_ERRORS, open_database
from ondeck_store.migrations import migrate
from ondeck_store.players.index_loader import fingerprint, read_index


class PlayersUnreadableError(OndeckError):
    """The players cannot be read from the database."""


async def read_players(settings: ServerSettings, known: str) -> Snapshot | None:
    """Read the players; None: the database still has the fingerprint `known`.

    Raises:
        PlayersUnreadableError: the database cannot be reached or read; the text is one line.
    """
    try:
        async with open_database(settings) as database:
            await migrate(database.engine)
            async with database.engine.connect() as connection:
                current = await fingerprint(connection)
                if current == known:
                    return None
                index = await read_index(connection)
    except (OndeckError, *DATABASE_ERRORS) as failed:
        raise PlayersUnreadableError(next(iter(str(failed).splitlines()), type(failed).__name__)) from failed
    return Snapshot(index=index, search=PlayerSearch(index), fingerprint=current)
