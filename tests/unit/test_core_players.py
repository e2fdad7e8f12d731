"""Resolution of players by name and by id."""

from datetime import UTC, date, datetime

import pytest

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import (
    Ambiguous,
    Found,
    IdQuery,
    League,
    Missing,
    NameQuery,
    Player,
    Resolution,
    Role,
    TeamSeason,
)
from ondeck_core.players.played_seasons import pack_players, read_players
from ondeck_core.players.resolver import Resolver
from ondeck_core.players.teams import franchise

LATER = datetime(2024, 7, 2, tzinfo=UTC)


def make_player(
    number: int, first: str, last: str, years: tuple[int, int] | None = (2015, 2024), **more: object
) -> Player:
    return Player(player_id=number, first=first, last=last, professional=years, **more)  # type: ignore[arg-type]  # fields vary by case


PEOPLE = [
    make_player(1, "José", "Ramírez", major_league=(2013, 2024), given="José Enrique"),
    make_player(2, "Will", "Smith", given="William Michael", major_league=(2012, 2024), born=(1989, 7, 10)),
    make_player(3, "Will", "Smith", given="William Dills", major_league=(2019, 2024), born=(1995, 3, 28)),
    make_player(4, "Matt", "Boyd", given="Matthew Robert"),
    make_player(5, "J. C.", "Flowers", given="John Carson"),
    make_player(6, "Luis", "Ortiz", given="Luis Leandro"),
    make_player(7, "Luis", "Ortiz", given="Luis Francisco"),
    make_player(8, "Ken", "Griffey", years=(1969, 1991), major_league=(1973, 1991), suffix="Sr."),
    make_player(9, "Ken", "Griffey", years=(1987, 2010), major_league=(1989, 2010), suffix="Jr."),
    make_player(10, "Babe", "Ruth", years=(1914, 1935), major_league=(1914, 1935)),
    make_player(11, "Aaron", "Hill", years=(2003, 2017), major_league=(2005, 2017)),
    make_player(12, "Aaron", "Hill", years=(2018, 2024)),
    make_player(13, "Tom", "Old", years=(1950, 1955), major_league=(1952, 1954)),
    make_player(14, "Tom", "Old", years=(2020, 2024)),
    make_player(15, "Mike", "Never", years=None),
    make_player(16, "Michael", "Nowhere", years=None),
    make_player(17, "Mike", "Nowhere"),
    make_player(18, "Jo", "Blanco", spellings=("Joey White",)),
    make_player(19, "Bobby", "Crest", years=(1985, 1999), major_league=(1990, 1999), suffix="Sr."),
    make_player(20, "Bobby", "Crest", suffix="Jr.", major_league=(2022, 2024)),
    make_player(21, "Zach", "Stone", years=(2022, 2024)),
    make_player(22, "Zack", "Stone", major_league=(2021, 2024)),
    make_player(23, "Alex", "Rivers", years=(2010, 2023), major_league=(2014, 2021)),
    make_player(24, "Alex", "Rivers", years=(2022, 2024)),
    make_player(25, "Gus", "Field", born=(2000, 1, 2), also_born=((1999, 12, 30),)),
    make_player(26, "Carl", "Lake", major_league=(2020, 2024)),
    make_player(27, "Carl", "Lake", major_league=(2021, 2024)),
    make_player(28, "Joshua", "Moss"),
    make_player(29, "José", "Moss"),
    make_player(30, "Gia", "Rallen"),
    make_player(31, "Hugo", "Peña", major_league=(2019, 2024)),
    make_player(32, "Hugo", "Peña", years=(2019, 2024)),
]
PLAYED = {
    2: (TeamSeason(season=2024, team="KC", role=Role.PITCHER),),
    3: (TeamSeason(season=2024, team="LAD", role=Role.BATTER),),
    26: (TeamSeason(season=2023, team="AZ", role=Role.PITCHER),),
    31: (TeamSeason(season=2022, team="OAK", role=Role.BATTER),),
}


def add_seasons(person: Player) -> Player:
    return person._replace(played=PLAYED.get(person.player_id, ()))


def resolver(*, pitches: bool = True, overrides: dict[str, int] | None = None) -> Resolver:
    people = [add_seasons(each) if pitches else each for each in PEOPLE]
    index = PlayerIndex.of(people, {("bbref", "ramirjo01"): 1, ("retro", "gone"): 99}, overrides)
    return Resolver(index=index, today=date(2024, 7, 1), next_try=LATER)


def ids(answer: Resolution) -> int | set[int] | None:
    match answer:
        case Found(player=player):
            return player.player_id
        case Ambiguous(candidates=candidates):
            return {each.player_id for each in candidates}
    assert answer == Missing(next_try=LATER)
    return None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (NameQuery(name="Jose Ramirez"), 1),
        (NameQuery(name="Ramírez, José"), 1),
        (NameQuery(name="José Enrique Ramírez"), 1),
        (NameQuery(name="Jose E. Ramirez"), 1),
        (NameQuery(name="Will Smith"), {2, 3}),
        (NameQuery(name="Will Smith", team="KC", season=2024), 2),
        (NameQuery(name="Will Smith", team="LAD", season=2024), 3),
        (NameQuery(name="Will Smith", team="BOS", season=2024), {2, 3}),
        (NameQuery(name="Will Smith", role=Role.PITCHER), 2),
        (NameQuery(name="Will Smith", day=date(2014, 5, 1)), 2),
        (NameQuery(name="Will Smith", day=date(2014, 5, 1), league=League.ANY), {2, 3}),
        (NameQuery(name="Will Smith", day=date(2013, 5, 1)), 2),
        (NameQuery(name="Will Smith", born=date(1995, 3, 28)), 3),
        (NameQuery(name="Will Smith", born=date(1995, 3, 29)), 3),
        (NameQuery(name="Will Smith", born=date(2001, 1, 1)), None),
        (NameQuery(name="Will Smith", born=date(1989, 3, 10)), 2),
        (NameQuery(name="Matthew Boyd"), 4),
        (NameQuery(name="J.C. Flowers"), 5),
        (NameQuery(name="Luis Ortiz"), {6, 7}),
        (NameQuery(name="Ortiz, Luis L."), 6),
        (NameQuery(name="Ortiz, Luis F."), 7),
        (NameQuery(name="Ken Griffey"), {8, 9}),
        (NameQuery(name="Ken Griffey Jr."), 9),
        (NameQuery(name="Ken Griffey", season=1975), 8),
        (NameQuery(name="Babe Ruth"), 10),
        (NameQuery(name="Babe Ruth", season=2024), None),
        (NameQuery(name="Aaron Hill"), {11, 12}),
        (NameQuery(name="Aaron Hill", season=2024), 12),
        (NameQuery(name="Tom Old"), 14),
        (NameQuery(name="Michael Nowhere", season=2024), 17),
        (NameQuery(name="Joey White"), 18),
        (NameQuery(name="Bobby Crest II"), 20),
        (NameQuery(name="Bobby Crest Jr."), 20),
        (NameQuery(name="Bobby Crest Sr."), 19),
        (NameQuery(name="Zach Stone", season=2024), {21, 22}),
        (NameQuery(name="Zack Stone", season=2024), 22),
        (NameQuery(name="Zach Stone"), {21, 22}),
        (NameQuery(name="Alex Rivers", season=2024), {23, 24}),
        (NameQuery(name="Gus Field", born=date(1999, 12, 30)), 25),
        (NameQuery(name="Gus Field", born=date(2000, 1, 2)), 25),
        (NameQuery(name="Gus Field", born=date(1980, 5, 5)), None),
        (NameQuery(name="Carl Lake", season=2023, team="ARI"), {26, 27}),
        (NameQuery(name="Carl Lake", season=2023, role=Role.PITCHER), {26, 27}),
        (NameQuery(name="Jos? Moss"), 29),
        (NameQuery(name="Jos\ufffd Moss"), 29),
        (NameQuery(name="Jos Moss"), {28, 29}),
        (NameQuery(name="G. Rallen"), 30),
        (NameQuery(name="W. Smith"), {2, 3}),
        (NameQuery(name="W. Smith", season=2013), 2),
        (NameQuery(name="Q. Smith"), None),
        (NameQuery(name="Rallen"), None),
        (NameQuery(name="Giarallen"), None),
        (NameQuery(name="GiaRallen"), 30),
        (NameQuery(name="Gia Rallen LAD"), 30),
        (NameQuery(name="Rallen, Gia, SP"), 30),
        (NameQuery(name="12. Gia Rallen"), 30),
        (NameQuery(name="Ortiz, Luis P."), None),
        (NameQuery(name="Hugo Pena", season=2024, team="Athletics"), 31),
        (NameQuery(name="Unknown Player"), None),
        (NameQuery(name=""), None),
        (NameQuery(name="Smith"), None),
    ],
)
def test_a_query_resolves_to_the_intended_player_only(query: NameQuery, expected: int | set[int] | None) -> None:
    assert ids(resolver().by_name(query)) == expected


def test_unknown_teams_and_roles_exclude_no_player() -> None:
    assert ids(resolver(pitches=False).by_name(NameQuery(name="Will Smith", team="KC", role=Role.PITCHER))) == {2, 3}
    assert ids(resolver(pitches=False).by_name(NameQuery(name="Jose Ramirez", team="KC"))) == 1


def test_an_override_takes_precedence() -> None:
    found = resolver(overrides={"Smith, Will": 3}).by_name(NameQuery(name="WILL SMITH", team="KC"))
    assert isinstance(found, Found)
    assert (found.player.player_id, found.rule) == (3, "override")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (NameQuery(name="Ken Griffey"), 9),
        (NameQuery(name="Griffey, Ken"), 9),
        (NameQuery(name="Ken Griffey Sr."), 8),
        (NameQuery(name="Ken Griffey", season=1975), 8),
        (NameQuery(name="Ken Griffey", season=1995), 9),
    ],
)
def test_an_override_does_not_contradict_the_query(query: NameQuery, expected: int) -> None:
    assert ids(resolver(overrides={"Ken Griffey": 9}).by_name(query)) == expected


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("ARI", "AZ", "Arizona Diamondbacks", "D-backs", "diamondbacks"), "AZ"),
        (("CHW", "CWS", "CHA", "Chicago White Sox"), "CWS"),
        (("OAK", "ATH", "Oakland Athletics", "A's"), "ATH"),
        (("NYY", "N.Y. Yankees", "New York Yankees"), "NYY"),
        (("WSN", "WAS", "Washington Nationals"), "WSH"),
        (("KCR", "Kansas City Royals"), "KC"),
        (("TBR", "Tampa Bay Rays", "Rays"), "TB"),
        (("STL", "St. Louis Cardinals"), "STL"),
        (("MTL Expos",), "MTL Expos"),
        (("",), ""),
    ],
)
def test_team_synonyms_are_the_same_team(names: tuple[str, ...], code: str) -> None:
    assert {franchise(name) for name in names} == {code}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (IdQuery(system="mlbam", id="10"), 10),
        (IdQuery(system="bbref", id="ramirjo01"), 1),
        (IdQuery(system="bbref", id="RAMIRJO01"), None),
        (IdQuery(system="mlbam", id="-1"), None),
        (IdQuery(system="mlbam", id=" 10.0"), 10),
        (IdQuery(system="mlbam", id="9" * 5000), None),
        (IdQuery(system="bbref", id="ramirjo01 "), 1),
        (IdQuery(system="retro", id="gone"), None),
        (IdQuery(system="", id=""), None),
    ],
)
def test_an_id_finds_one_player_or_none(query: IdQuery, expected: int | None) -> None:
    assert ids(resolver().by_id(query)) == expected


def test_the_resolution_names_its_rule() -> None:
    assert resolver().by_id(IdQuery(system="bbref", id="ramirjo01")) == Found(player=PEOPLE[0], rule="bbref id")
    rules = {
        name: answer.rule
        for name in ("Jose Ramirez", "Matthew Boyd", "Tom Old")
        if isinstance(answer := resolver().by_name(NameQuery(name=name)), Found)
    }
    assert rules == {"Jose Ramirez": "spelling", "Matthew Boyd": "first name", "Tom Old": "spelling, recent"}


def test_an_index_in_a_copied_block_finds_the_same_and_a_cut_block_is_rejected() -> None:
    index = resolver().index
    block = pack_players(index.blocks[0], bytes(index.blocks[1]))
    copied = PlayerIndex(*read_players(memoryview(block)))
    assert [copied[each.player_id] for each in PEOPLE] == [index[each.player_id] for each in PEOPLE]
    assert copied.by_id("bbref", "ramirjo01") == index[1]
    for length in (0, 7, 20, len(block) // 2, len(block) - 1):
        with pytest.raises(ValueError, match="cut off"):
            read_players(memoryview(block[:length]))
    names, seasons = map(bytes, index.blocks)
    for cut in ((names[:-1], seasons), (names, seasons[:-1])):
        with pytest.raises(ValueError, match="cut off"):
            PlayerIndex(memoryview(cut[0]), memoryview(cut[1]))
