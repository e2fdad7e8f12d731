"""The commands of `ondeck players` that change or list what is known: registers and overrides."""

import asyncio
import getpass
from dataclasses import astuple
from pathlib import Path

import click
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_ingest.cli.database_options import database_options
from ondeck_ingest.cli.tables import make_table
from ondeck_ingest.pipeline.foreground_ingest import IngestStoppedError
from ondeck_ingest.register.chadwick import create_refresher
from ondeck_ingest.register.load import group_by_kind, load_registers, read_files, read_tables
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.settings import read_settings
from ondeck_runtime.signals import run_until_stopped
from ondeck_store.database import Database, asyncpg_connection
from ondeck_store.migrations import open_migrated, run_in_transaction
from ondeck_store.players.index_files import current_names
from ondeck_store.players.overrides import NAME, Override, list_overrides, record_override
from ondeck_store.players.register_gaps import list_conflicts, list_unresolved
from ondeck_store.players.register_merge import RegisterCounts


@click.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@database_options
def import_(paths: tuple[Path, ...], **flags: object) -> None:
    """Import registers of players: CSV, gzipped CSV, ZIP archives, or folders of them.

    Chadwick's register, its list of other names, and the Smart Fantasy Baseball map are recognized by their columns.
    """
    found = list(read_files(list(paths)))
    asyncio.run(_import(read_settings(IngestSettings, **flags), found))


@click.command()
@database_options
def refresh(**flags: object) -> None:
    """Fetch and import the Chadwick register; SIGTERM stops it within two seconds, exit code 1."""
    asyncio.run(_refresh(read_settings(IngestSettings, **flags)))


@click.command()
@click.argument("player_id", type=int)
@click.argument("value")
@click.option("--system", default=NAME, show_default=True, help="Type of VALUE: name, or the system of the id.")
@click.option("--reason", required=True, help="Recorded with the override.")
@click.option("--revoke", is_flag=True, help="Revoke an earlier override.")
@database_options
def override(player_id: int, value: str, *, system: str, reason: str, revoke: bool, **flags: object) -> None:
    """Map VALUE to PLAYER_ID, overriding the registers; stored with user, time and reason."""
    decision = Override(
        created_by=getpass.getuser(),
        reason=reason,
        player_id=player_id,
        system=system,
        value=value,
        is_active=not revoke,
    )
    asyncio.run(_override(read_settings(IngestSettings, **flags), decision))


@click.command("unresolved")
@database_options
def unresolved_(**flags: object) -> None:
    """List players that are known by id alone, conflicts between sources, and overrides."""
    settings = read_settings(IngestSettings, **flags)
    console = Console(highlight=False)
    unknown = asyncio.run(run_in_transaction(settings, list_unresolved))
    console.print(make_table("known by id alone", ("id", "name", "next lookup"), map(astuple, unknown)))
    found = asyncio.run(run_in_transaction(settings, list_conflicts))
    console.print(
        make_table("conflicts", ("id", "field", "stored", "source value", "source", "seen"), map(astuple, found))
    )
    overrides = asyncio.run(run_in_transaction(settings, list_overrides))
    console.print(
        make_table(
            "overrides",
            ("created by", "reason", "id", "system", "value", "active", "number", "created"),
            map(astuple, overrides),
        )
    )


async def _import(settings: IngestSettings, files: list[tuple[str, bytes]]) -> None:
    tables = group_by_kind(table for name, content in files for table in read_tables(content, name))
    async with open_migrated(settings) as database:
        async with database.engine.begin() as connection:
            await _print_counts(connection, await load_registers(connection, tables))
        await _store_names(database, settings.home)


async def _refresh(settings: IngestSettings) -> None:
    async with open_migrated(settings) as database:
        counts = await run_until_stopped(create_refresher(settings, database.engine).refresh())
        if counts is None:
            raise IngestStoppedError("stopped; the stored players are unchanged")
        async with database.engine.connect() as connection:
            await _print_counts(connection, counts)
        await _store_names(database, settings.home)


async def _override(settings: IngestSettings, decision: Override) -> None:
    async with open_migrated(settings) as database:
        async with database.engine.begin() as connection:
            await record_override(connection, decision)
        await _store_names(database, settings.home)


async def _store_names(database: Database, home: Path) -> None:
    """Make the names for the next program that resolves names."""
    async with database.engine.connect() as connection:
        await current_names(await asyncpg_connection(connection), home)


async def _print_counts(connection: AsyncConnection, counts: dict[str, RegisterCounts]) -> None:
    for kind, each in counts.items():
        click.echo(f"{kind}: {each}")
    click.echo(f"{len(await list_unresolved(connection))} players are known by id alone")
