"""`ondeck players`: who is known, who is meant, what is open, what was decided."""

import asyncio
import getpass
from dataclasses import astuple
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.models import IdQuery, NameQuery, Role
from ondeck_core.players.resolver import Ambiguous, Missing, Resolution, Resolver
from ondeck_ingest.cli.options import stored
from ondeck_ingest.cli.render_players import in_words
from ondeck_ingest.cli.tables import listed
from ondeck_ingest.database import migrated, within
from ondeck_ingest.register.files import by_kind, content_of, tables_of
from ondeck_ingest.register.load import ASK_AGAIN_AFTER, take
from ondeck_ingest.register.refresh import refresher_of
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.settings import read_settings
from ondeck_store.players.index_loader import read_index
from ondeck_store.players.overrides import NAME, Override, decide, decisions
from ondeck_store.players.register_merge import RegisterCounts
from ondeck_store.players.unresolved import conflicts, unresolved


@click.group()
def players() -> None:
    """Know who every row is about: registers in, questions answered, decisions kept."""


@players.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@stored
def import_(paths: tuple[Path, ...], **flags: object) -> None:
    """Take registers of players: CSV, gzipped CSV, ZIP archives, or folders of them.

    Chadwick's register and its list of other names, and the Smart Fantasy Baseball map, known by their columns.
    """
    found = list(content_of(list(paths)))
    asyncio.run(_take(read_settings(IngestSettings, **flags), found))


@players.command()
@stored
def refresh(**flags: object) -> None:
    """Fetch the Chadwick register and take what is new in it."""
    asyncio.run(_refresh(read_settings(IngestSettings, **flags)))


@players.command()
@click.argument("name_or_id")
@click.option("--system", help="NAME_OR_ID is an id of this system: mlbam, bbref, fangraphs, retro ...")
@click.option("--season", type=int, help="Season in which he played.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Day on which he played.")
@click.option("--team", default="", help="Team he played for, as Savant writes it.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="What he was in a pitch.")
@click.option("--born", type=click.DateTime(["%Y-%m-%d"]), help="Date of birth.")
@stored
def resolve(name_or_id: str, system: str | None, **asked: Any) -> None:  # noqa: ANN401  options that click has checked
    """Tell who is meant by a name or an id: found, ambiguous (exit code 2) or missing (exit code 3)."""
    flags = {name: asked.pop(name) for name in ("home", "database_url")}
    answer = asyncio.run(_resolved(read_settings(IngestSettings, **flags), name_or_id, system, asked))
    click.echo(in_words(answer))
    match answer:
        case Ambiguous():
            raise SystemExit(2)
        case Missing():
            raise SystemExit(3)


@players.command()
@click.argument("player_id", type=int)
@click.argument("value")
@click.option("--system", default=NAME, show_default=True, help="What VALUE is: a name, or an id of this system.")
@click.option("--reason", required=True, help="Recorded with the override.")
@click.option("--revoke", is_flag=True, help="Revoke an earlier override.")
@stored
def override(player_id: int, value: str, *, system: str, reason: str, revoke: bool, **flags: object) -> None:
    """Decide by hand that VALUE means PLAYER_ID, whatever the registers say; kept with who, when and why."""
    decision = Override(
        who=getpass.getuser(), why=reason, player_id=player_id, system=system, value=value, holds=not revoke
    )
    asyncio.run(within(read_settings(IngestSettings, **flags), lambda connection: decide(connection, decision)))


@players.command("unresolved")
@stored
def unresolved_(**flags: object) -> None:
    """List who is known by id alone, what sources disagree on, and what was decided by hand."""
    settings = read_settings(IngestSettings, **flags)
    console = Console(highlight=False)
    men = asyncio.run(within(settings, unresolved))
    console.print(listed("known by id alone", ("id", "name", "asked for again"), map(astuple, men)))
    found = asyncio.run(within(settings, conflicts))
    console.print(listed("disagreements", ("id", "on", "ours", "theirs", "source", "seen"), map(astuple, found)))
    by_hand = asyncio.run(within(settings, decisions))
    console.print(
        listed(
            "decided by hand",
            ("who", "why", "id", "system", "value", "holds", "number", "at"),
            map(astuple, by_hand),
        )
    )


async def _take(settings: IngestSettings, files: list[tuple[str, bytes]]) -> None:
    tables = by_kind(table for name, content in files for table in tables_of(content, name))
    async with migrated(settings) as database, database.engine.begin() as connection:
        await _tell(connection, await take(connection, tables))


async def _refresh(settings: IngestSettings) -> None:
    async with migrated(settings) as database:
        taken = await refresher_of(settings, database.engine).refresh()
        async with database.engine.connect() as connection:
            await _tell(connection, taken)


async def _tell(connection: AsyncConnection, taken: dict[str, RegisterCounts]) -> None:
    for kind, each in taken.items():
        click.echo(f"{kind}: {each}")
    click.echo(f"{len(await unresolved(connection))} players are known by id alone")


async def _resolved(settings: IngestSettings, text: str, system: str | None, asked: dict[str, Any]) -> Resolution:
    now = datetime.now(UTC)
    index = await within(settings, read_index)
    resolver = Resolver(index=index, today=now.date(), next_try=now + ASK_AGAIN_AFTER)
    if system is not None:
        return resolver.by_id(IdQuery(system=system, id=text))
    role = None if asked["role"] is None else Role(asked["role"])
    days: dict[str, date | None] = {
        name: None if asked[name] is None else asked[name].date() for name in ("day", "born")
    }
    return resolver.by_name(NameQuery(name=text, season=asked["season"], team=asked["team"], role=role, **days))
