"""Evidence for players of one name: major leagues of the time, stored pitches, role, suffix, variants of the name."""

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import (
    Ambiguous,
    Found,
    League,
    Missing,
    NameQuery,
    Player,
    Resolution,
    Role,
    TeamSeason,
)
from ondeck_core.players.resolver import Resolver

TODAY = date(2026, 7, 1)
LATER = datetime(2026, 7, 2, tzinfo=UTC)
Span = tuple[int, int]


def player(
    number: int,
    name: str,
    major: Span | None = None,
    minor: Span | None = (2015, 2026),
    born: int | None = None,
    pitches: str = "",
    *,
    suffix: str = "",
    given: str = "",
    spellings: tuple[str, ...] = (),
) -> Player:
    """Return a player; `pitches` is a list of stored seasons such as "2024 SEA pitcher"."""
    first, _, last = name.rpartition(" ")
    played = tuple(
        TeamSeason(int(season), team, Role(role)) for season, team, role in map(str.split, filter(None, [pitches]))
    )
    return Player(number, first, last, given, suffix, (born, None, None), (), minor, major, spellings, played)


def resolve(people: list[Player], query: NameQuery) -> Resolution:
    known = [*people, player(1, "Register Year", (2020, 2026))]
    return Resolver(index=PlayerIndex.of(known, {}), today=TODAY, next_try=LATER).by_name(query)


def found(answer: Resolution) -> tuple[int, str] | tuple[list[int], str]:
    match answer:
        case Found(player=known, rule=rule):
            return known.player_id, rule
        case Ambiguous(candidates=candidates, rule=rule):
            return [each.player_id for each in candidates], rule
        case Missing(rule=rule):
            return [], rule


SOTOS = [player(10, "Juan Soto", (2018, 2026)), player(11, "Juan Soto", None, (2021, 2026))]
TATIS = [
    player(20, "Fernando Tatis", (1997, 2010), (1994, 2014), 1975),
    player(21, "Fernando Tatis", (2019, 2026), (2016, 2026), 1999),
]
RAMIREZES = [
    player(30, "José Ramírez", (2013, 2026)),
    player(31, "José Ramírez", (2014, 2018), (2008, 2022)),
    player(32, "José Ramírez", None, (2018, 2025)),
    player(33, "José Ramírez", (1998, 2003), (1995, 2004)),
]
DEBUTANTS = [player(40, "Max Muncy", (2015, 2026)), player(41, "Max Muncy", (2025, 2026))]
SPRING = [
    player(50, "Julio Rodríguez", (2022, 2026), pitches="2024 SEA batter"),
    player(51, "Julio Rodríguez", None, pitches="2024 SEA batter"),
]
SPRING_PITCHERS = [
    player(55, "Jacob Webb", (2019, 2026), pitches="2024 BAL pitcher", spellings=("Webb, Jacob",)),
    player(56, "Jacob Webb", None, pitches="2024 BOS pitcher", spellings=("Webb, Jacob",)),
]
SNYDERS = [
    player(60, "Nick Snyder", None, (2019, 2022), given="Nicholas Jordan"),
    player(61, "Nicklaus Snyder", (2021, 2022), (2017, 2026), given="Nicklaus Scott"),
]
FULL_NAMES = [
    player(65, "Matthew Stone", None, (2020, 2026)),
    player(66, "Matt Stone", (2021, 2026), pitches="2024 SEA pitcher"),
]
SHARED_SEASON = [
    player(70, "Diego Castillo", (2018, 2024), pitches="2024 MIN pitcher"),
    player(71, "Diego Castillo", (2022, 2024), pitches="2024 BAL batter"),
]
SUFFIXES = [
    player(80, "Luis García", (2013, 2026), (2006, 2026), 1987),
    player(81, "Luis García", (2020, 2026), (2017, 2026), 2000, spellings=("García Jr., Luis",)),
]


@pytest.mark.parametrize(
    ("people", "query", "expected"),
    [
        (SOTOS, NameQuery(name="Juan Soto", season=2026), (10, "spelling, season, major leagues")),
        (SOTOS, NameQuery(name="Juan Soto", season=2027), (10, "spelling, season, major leagues")),
        (SOTOS, NameQuery(name="Juan Soto"), (10, "spelling, major leagues")),
        (SOTOS, NameQuery(name="Juan Soto", season=2026, league=League.ANY), ([10, 11], "spelling, season")),
        (SOTOS, NameQuery(name="Juan Soto", league=League.ANY), ([10, 11], "spelling")),
        (SOTOS, NameQuery(name="Soto, Juan", season=1990), ([], "no player of the name fits: season")),
        (SOTOS, NameQuery(name="Juan Sota"), ([], "no player has the name")),
        (TATIS, NameQuery(name="Fernando Tatis Jr."), (21, "spelling")),
        (TATIS, NameQuery(name="Tatis Jr., Fernando"), (21, "spelling")),
        (TATIS, NameQuery(name="Fernando Tatis Sr."), (20, "spelling")),
        (TATIS, NameQuery(name="Fernando Tatis", season=2026), (21, "spelling, season")),
        (TATIS, NameQuery(name="Fernando Tatis", season=1999), (20, "spelling, season")),
        (RAMIREZES, NameQuery(name="Jose Ramirez", season=2024), (30, "spelling, season, major leagues")),
        (RAMIREZES, NameQuery(name="Jose Ramirez", season=2016), ([30, 31], "spelling, season")),
        (RAMIREZES, NameQuery(name="Jose Ramirez"), ([30, 31], "spelling, major leagues")),
        (RAMIREZES[::3], NameQuery(name="Jose Ramirez"), (30, "spelling, major leagues")),
        (DEBUTANTS, NameQuery(name="Max Muncy", season=2024), (40, "spelling, season, major leagues")),
        (DEBUTANTS, NameQuery(name="Max Muncy", season=2025), ([40, 41], "spelling, season")),
        (SPRING, NameQuery(name="Julio Rodriguez", season=2024), (50, "spelling, season, stored pitches")),
        (SPRING, NameQuery(name="Julio Rodriguez", season=2023), (50, "spelling, season, major leagues")),
        (SPRING, NameQuery(name="Julio Rodriguez"), (50, "spelling, major leagues")),
        (SPRING_PITCHERS, NameQuery(name="Webb, Jacob", season=2024), ([55, 56], "spelling, season")),
        (SPRING_PITCHERS, NameQuery(name="Webb, Jacob", team="BOS", season=2024), (56, "spelling, season")),
        (SNYDERS, NameQuery(name="Nick Snyder", season=2022), ([61, 60], "spelling, season")),
        (SNYDERS, NameQuery(name="Nick Snyder"), ([61, 60], "spelling")),
        (SNYDERS, NameQuery(name="Nicklaus Snyder", season=2022), (61, "spelling, season")),
        (FULL_NAMES, NameQuery(name="Matthew Stone", season=2024), ([66, 65], "spelling, season")),
        (
            FULL_NAMES,
            NameQuery(name="Matthew Stone", season=2024, role=Role.PITCHER),
            (66, "first name, season, stored pitches"),
        ),
        (
            FULL_NAMES,
            NameQuery(name="Stone, Matthew", season=2025, role=Role.PITCHER),
            (66, "first name, season, major leagues"),
        ),
        (FULL_NAMES, NameQuery(name="Matthew Stone", season=2025, role=Role.BATTER), ([66, 65], "spelling, season")),
        (FULL_NAMES, NameQuery(name="Matt Stone", season=2024), (66, "spelling, season")),
        (SHARED_SEASON, NameQuery(name="Diego Castillo", season=2024, role=Role.PITCHER), (70, "spelling, season")),
        (
            SHARED_SEASON,
            NameQuery(name="Diego Castillo", season=2022, role=Role.PITCHER),
            ([70, 71], "spelling, season"),
        ),
        (SHARED_SEASON, NameQuery(name="Diego Castillo", season=2022, role=Role.BATTER), (71, "spelling, season")),
        (SUFFIXES, NameQuery(name="Luis García Jr.", season=2025), (81, "spelling, season")),
        (SUFFIXES, NameQuery(name="Luis García", season=2025), ([80, 81], "spelling, season")),
        (SUFFIXES, NameQuery(name="García Luis Jr.", season=2025), (81, "spelling, season, other order")),
    ],
)
def test_evidence_decides_or_leaves_the_candidates_ranked(
    people: list[Player], query: NameQuery, expected: tuple[object, str]
) -> None:
    assert found(resolve(people, query)) == expected


@pytest.mark.parametrize(
    ("name", "season", "expected"),
    [
        ("Kim Ha-Seong", 2025, 90),
        ("KIM HA SEONG", None, 90),
        ("Ha-Seong Kim", None, 90),
        ("Soo Park", 2025, None),
        ("Park Soo", 2025, 91),
        ("JR Doe", 2025, 92),
        ("Doe, JR", 2025, 92),
        ("Doe, J.R.", None, 92),
        ("Doe JR", 2025, 92),
        ("De Doe, JR", None, 93),
        ("De Doe, J. R.", None, 93),
        ("Doe, Ian, JR", None, 94),
    ],
)
def test_the_surname_may_come_first_and_initials_are_no_suffix(
    name: str, season: int | None, expected: int | None
) -> None:
    people = [
        player(90, "Ha-Seong Kim", (2021, 2026)),
        player(91, "Park Soo", None),
        player(92, "JR Doe", (2024, 2026), given="James"),
        player(93, "J. R. De Doe", None),
        player(94, "Ian Doe", None, suffix="Jr."),
    ]
    answer = resolve(people, NameQuery(name=name, season=season))
    assert (answer.player.player_id if isinstance(answer, Found) else None) == expected


ROLES = ("batter", "pitcher")


def crowd(stored: int) -> list[Player]:
    """Return 400 major leaguers of 2024 of whom some have stored pitches."""
    return [
        player(1000 + n, f"Crowd Number{n}", (2024, 2025), pitches=f"2024 SEA {ROLES[n % 5 > 1]}" if n < stored else "")
        for n in range(400)
    ]


@pytest.mark.parametrize(
    ("stored", "query", "expected"),
    [
        (400, NameQuery(name="Luis Castillo", role=Role.PITCHER), (200, "spelling, season, stored pitches")),
        (300, NameQuery(name="Luis Castillo", role=Role.PITCHER), ([200, 201], "spelling, season")),
        (400, NameQuery(name="Luis Castillo"), ([200, 201], "spelling, season")),
        (400, NameQuery(name="Zach Stone"), (203, "first name, season")),
        (300, NameQuery(name="Zach Stone"), ([203, 202], "spelling, season")),
        (400, NameQuery(name="Ian Minor"), ([], "no player of the name fits: season")),
        (400, NameQuery(name="Ian Minor", league=League.ANY), (204, "spelling, season")),
        (300, NameQuery(name="Ian Minor"), (204, "spelling, season")),
        (400, NameQuery(name="Ian Hurt"), (205, "spelling, season")),
        (400, NameQuery(name="Ian Hurt", role=Role.BATTER), (205, "spelling, season")),
    ],
)
def test_a_season_that_is_stored_in_whole_shows_who_did_not_play(
    stored: int, query: NameQuery, expected: tuple[object, str]
) -> None:
    people = [
        *crowd(stored),
        player(200, "Luis Castillo", (2017, 2026), pitches="2024 SEA pitcher"),
        player(201, "Luis Castillo", (2022, 2025)),
        player(202, "Zach Stone", None),
        player(203, "Zack Stone", (2021, 2026), pitches="2024 SEA batter"),
        player(204, "Ian Minor", None),
        player(205, "Ian Hurt", (2020, 2026)),
    ]
    assert found(resolve(people, replace(query, season=2024))) == expected


def test_every_candidate_comes_with_its_evidence() -> None:
    answer = resolve(RAMIREZES, NameQuery(name="Jose Ramirez", season=2016))
    assert isinstance(answer, Ambiguous)
    assert answer.evidence == (
        "major leagues 2013 to 2026; professional 2015 to 2026; no stored pitches",
        "major leagues 2014 to 2018; professional 2008 to 2022; no stored pitches",
    )
    answer = resolve(SPRING_PITCHERS, NameQuery(name="Jacob Webb", season=2024))
    assert isinstance(answer, Ambiguous)
    assert answer.evidence[1] == (
        "never in the major leagues; professional 2015 to 2026; stored pitches for BOS 2024 as pitcher"
    )
