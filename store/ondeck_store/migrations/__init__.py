"""Migrate a database to the tables of this release; forward only, one program at a time."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

_LOCK: Final = 0x0DEC  # any number, but the same for every Ondeck program


async def migrate(engine: AsyncEngine, to: str = "head") -> None:
    """Apply the missing migrations in one transaction; programs that start together wait for each other."""
    async with engine.begin() as connection:
        await connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        await connection.run_sync(_upgrade, to)


def _upgrade(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, to)
