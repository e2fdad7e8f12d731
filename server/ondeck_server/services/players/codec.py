"""Player messages to queries, and players and resolutions to messages."""

from collections.abc import Iterable
from datetime import date
from typing import TYPE_CHECKING, Final

from ondeck.v1.player_service_pb2 import League as LeagueCode
from ondeck.v1.player_service_pb2 import Player as PlayerMessage
from ondeck.v1.player_service_pb2 import (
    PlayerAmbiguous,
    PlayerFound,
    PlayerMissing,
    PlayerName,
    PlayerQuery,
    PlayerResolution,
    SeasonSpan,
    TeamSeason,
)
from ondeck.v1.player_service_pb2 import Role as RoleCode
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.players.models import MAX_LENGTH, Ambiguous, Found, IdQuery, League, Missing, NameQuery, Player, Role

if TYPE_CHECKING:
    from ondeck_core.players.resolver import Resolver

SEASONS: Final = (1871, 2100)
_ROLES: Final = {RoleCode.ROLE_BATTER: Role.BATTER, RoleCode.ROLE_PITCHER: Role.PITCHER}
_ROLE_CODES: Final = {role: code for code, role in _ROLES.items()}


def decode_queries(messages: Iterable[PlayerQuery]) -> list[IdQuery | NameQuery]:
    """Return the queries of a request.

    Raises:
        InvalidInstanceError: some are invalid; each is named with its index.
    """
    violations: list[Violation] = []
    queries = [_decode_query(each, f"queries[{index}]", violations) for index, each in enumerate(messages)]
    if violations:
        raise InvalidInstanceError(violations)
    return queries


def resolve(resolver: "Resolver", query: IdQuery | NameQuery) -> PlayerResolution:
    """Resolve one query."""
    resolution = resolver.by_id(query) if isinstance(query, IdQuery) else resolver.by_name(query)
    match resolution:
        case Found(player=found, rule=rule):
            return PlayerResolution(found=PlayerFound(player=player_message(found), rule=rule))
        case Ambiguous(candidates=candidates, evidence=evidence, rule=rule):
            players = [player_message(each) for each in candidates]
            return PlayerResolution(ambiguous=PlayerAmbiguous(candidates=players, evidence=evidence, rule=rule))
        case Missing(next_try=next_try, rule=rule):
            return PlayerResolution(missing=PlayerMissing(next_try=next_try.isoformat(), rule=rule))


def player_message(player: Player) -> PlayerMessage:
    """Return a player as a message."""
    year, month, day = player.born
    return PlayerMessage(
        player_id=player.player_id,
        name=player.name,
        given_name=player.given,
        birth_year=year,
        birth_month=month,
        birth_day=day,
        professional=_span(player.professional),
        major_league=_span(player.major_league),
        spellings=player.spellings,
        team_seasons=[
            TeamSeason(season=each.season, team=each.team, role=_ROLE_CODES[each.role])
            for each in sorted(player.played, key=lambda each: (each.season, each.team, each.role.value))
        ],
    )


def _span(span: tuple[int, int] | None) -> SeasonSpan | None:
    return None if span is None else SeasonSpan(first=span[0], last=span[1])


def _decode_query(message: PlayerQuery, path: str, violations: list[Violation]) -> IdQuery | NameQuery:
    match message.WhichOneof("query"):
        case "id":
            empty = [name for name in ("system", "id") if not getattr(message.id, name)]
            violations.extend(Violation(f"{path}.id.{name}", "is required") for name in empty)
            return IdQuery(system=message.id.system, id=message.id.id)
        case "name":
            return _decode_name(message.name, f"{path}.name", violations)
    violations.append(Violation(path, "is required: an id or a name"))
    return IdQuery(system="", id="")


def _decode_name(message: PlayerName, path: str, violations: list[Violation]) -> NameQuery:
    if not 0 < len(message.name) <= MAX_LENGTH:
        violations.append(Violation(f"{path}.name", f"is required: at most {MAX_LENGTH} characters"))
    if message.HasField("season") and not SEASONS[0] <= message.season <= SEASONS[1]:
        violations.append(
            Violation(f"{path}.season", f"must be from {SEASONS[0]} to {SEASONS[1]}, got {message.season}")
        )
    return NameQuery(
        name=message.name,
        season=message.season if message.HasField("season") else None,
        day=_decode_day(message.day, f"{path}.day", violations),
        team=message.team,
        role=_ROLES.get(message.role),
        born=_decode_day(message.born, f"{path}.born", violations),
        league=League.ANY if message.league == LeagueCode.LEAGUE_ANY else League.MAJOR,
    )


def _decode_day(text: str, path: str, violations: list[Violation]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        violations.append(Violation(path, f"must be a day as YYYY-MM-DD, got {text[:20]!r}"))
        return None
