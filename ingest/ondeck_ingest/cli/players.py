"""The commands of `ondeck players`: import registers, resolve names and ids, manage overrides."""

import asyncio
import getpass
from dataclasses import astuple
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.players.models import Ambiguous, Found, IdQuery, League, Missing, NameQuery, Player, Resolution, Role
from ondeck_core.players.resolver import Resolver
from ondeck_ingest.cli.database_options import database_options
from ondeck_ingest.cli.tables import make_table
from ondeck_ingest.pipeline.foreground_ingest import IngestStoppedError
from ondeck_ingest.register.chadwick import create_refresher
from ondeck_ingest.register.load import LOOKUP_INTERVAL, group_by_kind, load_registers, read_files, read_tables
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.settings import read_settings
from ondeck_runtime.signals import run_until_stopped
from ondeck_store.migrations import open_migrated, run_in_transaction
from ondeck_store.players.index_loader import read_index
from ondeck_store.players.overrides import NAME, Override, list_overrides, record_override
from ondeck_store.players.register_gaps import list_conflicts, list_unresolved
from ondeck_store.players.register_merge import RegisterCounts


@click.group()
def players() -> None:
    """Identify players: import registers, resolve names and ids, override registers."""


@players.command("import")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@database_options
def import_(paths: tuple[Path, ...], **flags: object) -> None:
    """Import registers of players: CSV, gzipped CSV, ZIP archives, or folders of them.

    Chadwick's register, its list of other names, and the Smart Fantasy Baseball map are recognized by their columns.
    """
    found = list(read_files(list(paths)))
    asyncio.run(_import(read_settings(IngestSettings, **flags), found))


@players.command()
@database_options
def refresh(**flags: object) -> None:
    """Fetch and import the Chadwick register; SIGTERM stops it within two seconds, exit code 1."""
    asyncio.run(_refresh(read_settings(IngestSettings, **flags)))


@players.command()
@click.argument("name_or_id")
@click.option("--system", help="NAME_OR_ID is an id of this system: mlbam, bbref, fangraphs, retro ...")
@click.option("--season", type=int, help="Season in which the player played.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Day on which the player played.")
@click.option("--team", default="", help="Team of the player, as Savant writes it.")
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Role of the player in a pitch.")
@click.option(
    "--league",
    type=click.Choice([league.value for league in League]),
    default=League.MAJOR.value,
    show_default=True,
    help="Prefer major leaguers, or treat players of any league alike.",
)
@click.option("--born", type=click.DateTime(["%Y-%m-%d"]), help="Date of birth.")
@database_options
def resolve(name_or_id: str, system: str | None, **query: Any) -> None:  # noqa: ANN401  options that click has checked
    """Find the player of a name or an id: found, ambiguous (exit code 2) or missing (exit code 3)."""
    flags = {name: query.pop(name) for name in ("home", "database_url")}
    answer = asyncio.run(_resolve(read_settings(IngestSettings, **flags), name_or_id, system, query))
    click.echo(render_resolution(answer))
    match answer:
        case Ambiguous():
            raise SystemExit(2)
        case Missing():
            raise SystemExit(3)


@players.command()
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
    asyncio.run(
        run_in_transaction(
            read_settings(IngestSettings, **flags), lambda connection: record_override(connection, decision)
        )
    )


@players.command("unresolved")
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
    async with open_migrated(settings) as database, database.engine.begin() as connection:
        await _print_counts(connection, await load_registers(connection, tables))


async def _refresh(settings: IngestSettings) -> None:
    async with open_migrated(settings) as database:
        counts = await run_until_stopped(create_refresher(settings, database.engine).refresh())
        if counts is None:
            raise IngestStoppedError("stopped; the stored players are unchanged")
        async with database.engine.connect() as connection:
            await _print_counts(connection, counts)


async def _print_counts(connection: AsyncConnection, counts: dict[str, RegisterCounts]) -> None:
    for kind, each in counts.items():
        click.echo(f"{kind}: {each}")
    click.echo(f"{len(await list_unresolved(connection))} players are known by id alone")


async def _resolve(settings: IngestSettings, text: str, system: str | None, query: dict[str, Any]) -> Resolution:
    now = datetime.now(UTC)
    index = await run_in_transaction(settings, read_index)
    resolver = Resolver(index=index, today=now.date(), next_try=now + LOOKUP_INTERVAL)
    if system is not None:
        return resolver.by_id(IdQuery(system=system, id=text))
    role = None if query["role"] is None else Role(query["role"])
    days: dict[str, date | None] = {
        name: None if query[name] is None else query[name].date() for name in ("day", "born")
    }
    league = League(query["league"])
    return resolver.by_name(
        NameQuery(name=text, season=query["season"], team=query["team"], role=role, league=league, **days)
    )


def render_resolution(answer: Resolution) -> str:
    """Return the result of a lookup as text."""
    match answer:
        case Found(player=player, rule=rule):
            return f"found by {rule}: {_describe_player(player)}"
        case Ambiguous(candidates=candidates, evidence=evidence, rule=rule):
            lines = (
                f"  {each.player_id} {each.name}{_describe_birth(each)}; {text}"
                for each, text in zip(candidates, evidence, strict=True)
            )
            return "\n".join([f"ambiguous, {len(candidates)} fit by {rule}, the most probable first:", *lines])
        case Missing(next_try=next_try, rule=rule):
            return f"missing; {rule}; next lookup in the registers {next_try:%Y-%m-%d %H:%M} UTC"


def _describe_player(player: Player) -> str:
    spans = [
        f"{level} {span[0]} to {span[1]}"
        for level, span in (("major league", player.major_league), ("professional", player.professional))
        if span is not None
    ]
    teams = sorted({f"{each.team} {each.season} ({each.role.value})" for each in player.played})
    known = [*spans[:1], ", ".join(teams)]
    return f"{player.player_id} {player.name}{_describe_birth(player)}" + "".join(f"; {each}" for each in known if each)


def _describe_birth(player: Player) -> str:
    born = "-".join(f"{part:02d}" for part in player.born if part is not None)
    return f"; born {born}" if born else ""
