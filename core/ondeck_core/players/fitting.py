"""Which of several men a question may mean: what contradicts it rules out, what confirms it prefers."""

from collections.abc import Callable
from typing import Final

from ondeck_core.players.people import Person
from ondeck_core.players.questions import ByName
from ondeck_core.players.spelling import Spelling, spelled

AGREEING: Final = 2  # of year, month and day; registers differ in one more often than two men share two


def fitting(candidates: list[Person], name: Spelling, asked: ByName) -> list[Person]:
    """Keep those whom the question may mean.

    A suffix or a date of birth rules out whoever is known to have another. Team and role are known of those men alone
    who stand in stored pitches: they prefer these, and rule nobody out.
    """
    left = _born_then([each for each in candidates if _has_suffix(each, name.suffix)], asked)
    if asked.team:
        left = _preferred(left, lambda each: _played(each, asked, team=asked.team))
    if asked.role is not None:
        left = _preferred(left, lambda each: _played(each, asked, role=asked.role))
    return left


def _has_suffix(person: Person, suffix: str) -> bool:
    known = spelled(f"x x {person.suffix}").suffix if person.suffix else ""
    return not suffix or not known or suffix == known


def _born_then(candidates: list[Person], asked: ByName) -> list[Person]:
    if asked.born is None:
        return candidates
    then = (asked.born.year % 100, asked.born.month, asked.born.day)
    exact = [each for each in candidates if _agreement(each, then) == len(then)]
    agreeing = exact or [each for each in candidates if _agreement(each, then) >= AGREEING]
    undated = [each for each in candidates if each.born[0] is None]
    if agreeing or not undated:
        return agreeing
    return candidates  # one who is known to be born on another day may still be the one who is meant


def _agreement(person: Person, then: tuple[int, int, int]) -> int:
    year, month, day = person.born
    return sum(known == asked for known, asked in zip((year and year % 100, month, day), then, strict=True))


def _preferred(candidates: list[Person], fits: Callable[[Person], bool]) -> list[Person]:
    return [each for each in candidates if fits(each)] or candidates


def _played(person: Person, asked: ByName, *, team: str = "", role: object = None) -> bool:
    return any(
        (asked.of_season is None or each.season == asked.of_season)
        and (not team or each.team == team)
        and (role is None or each.role is role)
        for each in person.played
    )
