"""Players between messages and values."""

from collections.abc import Iterable
from datetime import date
from typing import Final

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
from ondeck_core.players.models import IdQuery, NameQuery, Player, Role
from ondeck_core.players.name_normalization import MAX_LENGTH
from ondeck_core.players.resolver import Ambiguous, Found, Missing, Resolver

SEASONS: Final = (1871, 2100)
_ROLES: Final = {RoleCode.ROLE_BATTER: Role.BATTER, RoleCode.ROLE_PITCHER: Role.PITCHER}
_ROLE_CODES: Final = {role: code for code, role in _ROLES.items()}


def questions_of(questions: Iterable[PlayerQuery]) -> list[IdQuery | NameQuery]:
    """Read questions.

    Raises:
        InvalidInstanceError: some cannot be asked; each is named with its place.
    """
    violations: list[Violation] = []
    asked = [_question(each, f"queries[{place}]", violations) for place, each in enumerate(questions)]
    if violations:
        raise InvalidInstanceError(violations)
    return asked


def answer(resolver: Resolver, asked: IdQuery | NameQuery) -> PlayerResolution:
    """Answer one question."""
    resolution = resolver.by_id(asked) if isinstance(asked, IdQuery) else resolver.by_name(asked)
    match resolution:
        case Found(player=found, rule=rule):
            return PlayerResolution(found=PlayerFound(player=player(found), rule=rule))
        case Ambiguous(candidates=candidates):
            return PlayerResolution(ambiguous=PlayerAmbiguous(candidates=[player(each) for each in candidates]))
        case Missing(next_try=next_try):
            return PlayerResolution(missing=PlayerMissing(next_try=next_try.isoformat()))


def player(person: Player) -> PlayerMessage:
    """Write a player as a caller gets him."""
    year, month, day = person.born
    return PlayerMessage(
        player_id=person.player_id,
        name=person.name,
        given_name=person.given,
        birth_year=year,
        birth_month=month,
        birth_day=day,
        professional=_span(person.professional),
        major_league=_span(person.major_league),
        spellings=person.spellings,
        team_seasons=[
            TeamSeason(season=each.season, team=each.team, role=_ROLE_CODES[each.role])
            for each in sorted(person.played, key=lambda each: (each.season, each.team, each.role.value))
        ],
    )


def _span(span: tuple[int, int] | None) -> SeasonSpan | None:
    return None if span is None else SeasonSpan(first=span[0], last=span[1])


def _question(question: PlayerQuery, path: str, violations: list[Violation]) -> IdQuery | NameQuery:
    match question.WhichOneof("query"):
        case "id":
            empty = [name for name in ("system", "id") if not getattr(question.id, name)]
            violations.extend(Violation(f"{path}.id.{name}", "is required") for name in empty)
            return IdQuery(system=question.id.system, id=question.id.id)
        case "name":
            return _name(question.name, f"{path}.name", violations)
    violations.append(Violation(path, "is required: an id or a name"))
    return IdQuery(system="", id="")


def _name(asked: PlayerName, path: str, violations: list[Violation]) -> NameQuery:
    if not 0 < len(asked.name) <= MAX_LENGTH:
        violations.append(Violation(f"{path}.name", f"is required: at most {MAX_LENGTH} characters"))
    if asked.HasField("season") and not SEASONS[0] <= asked.season <= SEASONS[1]:
        violations.append(Violation(f"{path}.season", f"must be from {SEASONS[0]} to {SEASONS[1]}, got {asked.season}"))
    return NameQuery(
        name=asked.name,
        season=asked.season if asked.HasField("season") else None,
        day=_day(asked.day, f"{path}.day", violations),
        team=asked.team,
        role=_ROLES.get(asked.role),
        born=_day(asked.born, f"{path}.born", violations),
    )


def _day(text: str, path: str, violations: list[Violation]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        violations.append(Violation(path, f"must be a day as YYYY-MM-DD, got {text[:20]!r}"))
        return None
