"""`ondeck players resolve`: find the player of a name or an id. It imports little, so that it answers at once."""

import asyncio
from datetime import UTC, date, datetime
from typing import Any

import click

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Ambiguous, Found, IdQuery, League, Missing, NameQuery, Player, Resolution, Role
from ondeck_core.players.resolver import Resolver
from ondeck_ingest.cli.database_options import database_options
from ondeck_ingest.settings import LOOKUP_INTERVAL, IngestSettings
from ondeck_runtime.settings import read_settings
from ondeck_store.connection import connect_migrated
from ondeck_store.players.index_files import current_names, current_seasons


@click.command()
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


async def _resolve(settings: IngestSettings, text: str, system: str | None, query: dict[str, Any]) -> Resolution:
    now = datetime.now(UTC)
    async with connect_migrated(settings) as connection:
        names = await current_names(connection, settings.home)
        seasons = await current_seasons(connection, settings.home, names)
    resolver = Resolver(index=PlayerIndex(names.block, seasons.block), today=now.date(), next_try=now + LOOKUP_INTERVAL)
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
