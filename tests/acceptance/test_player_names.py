"""Resolution of real names compared with their ids: nearly always right, never wrong."""

import gzip
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import polars as pl
import pytest

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Ambiguous, Found, Missing, NameQuery, Player, Role
from ondeck_core.players.resolver import Resolver
from ondeck_core.statcast.parse import parse_cells
from ondeck_ingest.register.load import group_by_kind, load_registers, read_files, read_tables
from ondeck_store.database import Database, asyncpg_connection
from ondeck_store.pitches.upsert import upsert_pitches
from ondeck_store.players.index_loader import read_index
from ondeck_store.players.register_gaps import RegisterConflict, list_conflicts
from tests.fixtures.store import truncate_tables

pytestmark = pytest.mark.realdata

REGISTERED = date(2026, 7, 1)  # the date of the register


@dataclass(frozen=True, kw_only=True)
class QueryResults:
    """Number of right, ambiguous and missing answers, and the wrong ones with the query and the right id."""

    right: int
    ambiguous: int
    missing: int
    wrong: list[tuple[NameQuery, int]]

    @property
    def share(self) -> float:
        return self.right / (self.right + self.ambiguous + self.missing + len(self.wrong))

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """Found, ambiguous, missing and wrong."""
        return self.right, self.ambiguous, self.missing, len(self.wrong)


@pytest.fixture(scope="module")
def savant(real_data: Path) -> pl.DataFrame:
    """Return one pitch per pitcher and team of 2024, spring training and postseason included."""
    months = (parse_cells(pl.read_parquet(path)).rows for path in sorted((real_data / "statcast").glob("*.parquet")))
    return pl.concat(
        rows.unique(["pitcher", "home_team", "away_team", "inning_topbot"], keep="first", maintain_order=True)
        for rows in months
    ).unique(["game_pk", "at_bat_number", "pitch_number"], maintain_order=True)


@dataclass(frozen=True, kw_only=True)
class KnownPlayers:
    """The player index and the conflicts of the registers."""

    resolver: Resolver
    conflicts: list[RegisterConflict]


@pytest.fixture(scope="module")
async def known(opened_database: Database, savant: pl.DataFrame, real_data: Path) -> KnownPlayers:
    files = read_files([real_data / "ids"])
    async with opened_database.engine.connect() as connection:
        await truncate_tables(connection)
        await upsert_pitches(connection, savant, simulated=False)
        await load_registers(
            connection, group_by_kind(table for name, content in files for table in read_tables(content, name))
        )
        index, conflict_rows = await read_index(await asyncpg_connection(connection)), await list_conflicts(connection)
        await connection.rollback()
    return KnownPlayers(
        resolver=Resolver(index=index, today=REGISTERED, next_try=datetime.now(UTC)),
        conflicts=conflict_rows,
    )


@pytest.fixture
def resolver(known: KnownPlayers) -> Resolver:
    return known.resolver


def resolve_all(resolver: Resolver, cases: Iterable[tuple[NameQuery, int]]) -> QueryResults:
    answers = [(query, truth, resolver.by_name(query)) for query, truth in cases]
    found = [(query, truth, answer.player.player_id) for query, truth, answer in answers if isinstance(answer, Found)]
    wrong = [(query, truth) for query, truth, player_id in found if player_id != truth]
    return QueryResults(
        right=len(found) - len(wrong),
        ambiguous=sum(isinstance(answer, Ambiguous) for _, _, answer in answers),
        missing=sum(isinstance(answer, Missing) for _, _, answer in answers),
        wrong=wrong,
    )


class IndexWithout(PlayerIndex):
    """An index that lacks the player `absent`."""

    absent = 0

    def player(self, player_id: int) -> Player | None:
        """Return the player with an MLBAM id, unless absent."""
        return None if player_id == self.absent else super().player(player_id)


def pitchers(savant: pl.DataFrame) -> list[tuple[str, int, str]]:
    top = pl.col("inning_topbot") == "Top"
    team = pl.when(top).then("home_team").otherwise("away_team").alias("team")
    return savant.select("player_name", "pitcher", team).unique().rows()


async def test_savant_names_with_team_and_season_resolve(resolver: Resolver, savant: pl.DataFrame) -> None:
    queries = [(NameQuery(name=name, team=team, season=2024), truth) for name, truth, team in pitchers(savant)]
    found = resolve_all(resolver, queries)
    assert found.wrong == []
    assert found.share >= 0.995
    as_pitchers = [
        (NameQuery(name=name, team=team, season=2024, role=Role.PITCHER), truth)
        for name, truth, team in pitchers(savant)
    ]
    assert resolve_all(resolver, as_pitchers).share >= found.share


async def test_savant_names_with_season_and_role_resolve(resolver: Resolver, savant: pl.DataFrame) -> None:
    names = {(name, truth) for name, truth, _ in pitchers(savant)}
    found = resolve_all(resolver, [(NameQuery(name=n, season=2024, role=Role.PITCHER), truth) for n, truth in names])
    assert found.wrong == []
    assert found.share >= 0.995, found.counts


async def test_savant_names_without_context_resolve(resolver: Resolver, savant: pl.DataFrame) -> None:
    found = resolve_all(resolver, {(NameQuery(name=name), truth) for name, truth, _ in pitchers(savant)})
    assert found.wrong == []
    assert found.share >= 0.98, found.counts


@pytest.mark.parametrize(
    ("name", "season", "player_id"),
    [
        ("Juan Soto", 2026, 665742),
        ("Juan Soto", None, 665742),
        ("José Ramírez", 2025, 608070),
        ("Ramírez, José", 2026, 608070),
        ("Julio Rodríguez", None, 677594),
        ("Julio Rodríguez", 2024, 677594),  # a namesake has stored pitches of spring training
        ("Fernando Tatis Jr.", None, 665487),
        ("Tatis Jr., Fernando", 2025, 665487),
        ("Vladimir Guerrero Jr.", None, 665489),
        ("Vladimir Guerrero", 2025, 665489),
        ("Vladimir Guerrero", 2004, 115223),
        ("Ohtani Shohei", 2024, 660271),
        ("Kim Ha-Seong", 2025, 673490),
        ("Ritchie, J.R.", 2026, 702275),
        ("Ritchie, JR", None, 702275),
        ("García Jr., Luis", 2025, 671277),
    ],
)
async def test_well_known_players_are_found(resolver: Resolver, name: str, season: int | None, player_id: int) -> None:
    answer = resolver.by_name(NameQuery(name=name, season=season))
    assert isinstance(answer, Found), answer
    assert answer.player.player_id == player_id


async def test_a_list_of_the_season_after_the_stored_one_resolves(resolver: Resolver, real_data: Path) -> None:
    content = gzip.decompress((real_data / "leaderboards" / "sprint_speed_2025.csv.gz").read_bytes())
    board = pl.read_csv(content.removeprefix(b"\xef\xbb\xbf"), infer_schema=False)
    names = [(name, int(truth)) for name, truth in board.select("last_name, first_name", "player_id").rows()]
    alone = resolve_all(resolver, [(NameQuery(name=name), truth) for name, truth in names])
    known = resolve_all(resolver, [(NameQuery(name=n, season=2025, role=Role.BATTER), truth) for n, truth in names])
    assert (alone.wrong, known.wrong) == ([], [])
    assert alone.share >= 0.97, alone.counts
    assert known.share >= 0.99, known.counts


async def test_a_player_who_is_in_no_register_is_seldom_taken_for_a_namesake(
    resolver: Resolver, savant: pl.DataFrame
) -> None:
    index = IndexWithout(*resolver.index.blocks)
    without = replace(resolver, index=index)
    taken = 0
    names = {(name, truth) for name, truth, _ in pitchers(savant)}
    for name, truth in names:
        index.absent = truth
        taken += isinstance(without.by_name(NameQuery(name=name, season=2024, role=Role.PITCHER)), Found)
    assert taken / len(names) <= 0.02


def first_last(name: str) -> str:
    last, first = name.split(", ")
    surname, _, suffix = last.partition(" ") if last.endswith(("Jr.", "Sr.", "II", "III", "IV")) else (last, "", "")
    return f"{first} {surname} {suffix}".strip()


def without_accents(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))


# How tools and lists damage "Last, First", and the share that still resolves with team and season.
DAMAGES: dict[str, tuple[Callable[[str], str], float]] = {
    "First Last": (first_last, 0.99),
    "decomposed": (lambda name: unicodedata.normalize("NFD", name), 0.99),
    "no accents": (without_accents, 0.99),
    "mojibake": (lambda name: name.encode().decode("latin-1"), 0.99),
    "mojibake twice": (lambda name: name.encode().decode("cp1252", "replace").encode().decode("latin-1"), 0.97),
    "escaped bytes": (lambda name: repr(name.encode())[2:-1], 0.99),
    "escaped code points": (lambda name: name.encode("ascii", "backslashreplace").decode(), 0.99),
    "entities": (lambda name: name.encode("ascii", "xmlcharrefreplace").decode(), 0.99),
    "percent-encoded": (quote, 0.99),
    "letters lost to ?": (lambda name: name.encode("ascii", "replace").decode(), 0.98),
    "letters dropped": (lambda name: name.encode("ascii", "ignore").decode(), 0.98),
    "upper case": (str.upper, 0.99),
    "no-break spaces": (lambda name: first_last(name).replace(" ", "\xa0"), 0.99),
    "position appended": (lambda name: f"{first_last(name)} (P)", 0.99),
    "team appended": (lambda name: f"{first_last(name)} LAD", 0.98),
    "handedness appended": (lambda name: f"{first_last(name)}*", 0.99),
    "number prepended": (lambda name: f"17. {first_last(name)}", 0.98),
    "id appended": (lambda name: f"{first_last(name)}\\troutmi01", 0.99),
}


@pytest.mark.parametrize("kind", DAMAGES)
async def test_damaged_names_resolve_correctly_or_not_at_all(
    resolver: Resolver, savant: pl.DataFrame, kind: str
) -> None:
    damage, share = DAMAGES[kind]
    queries = [(NameQuery(name=damage(name), team=team, season=2024), truth) for name, truth, team in pitchers(savant)]
    found = resolve_all(resolver, queries)
    assert found.wrong == []
    assert found.share >= share


async def test_initials_for_first_names_resolve_correctly_or_not_at_all(
    resolver: Resolver, savant: pl.DataFrame
) -> None:
    queries = {
        (
            NameQuery(name=f"{first_last(name)[0]}. {name.split(',')[0]}", team=team, season=2024, role=Role.PITCHER),
            truth,
        )
        for name, truth, team in pitchers(savant)
    }
    found = resolve_all(resolver, queries)
    assert found.wrong == []
    assert found.share >= 0.8


async def test_team_synonyms_and_unstored_seasons_resolve(resolver: Resolver, savant: pl.DataFrame) -> None:
    codes = {
        "AZ": "ARI",
        "CWS": "CHW",
        "KC": "KCR",
        "SD": "SDP",
        "SF": "SFG",
        "TB": "TBR",
        "WSH": "Washington Nationals",
    }
    for season, share in ((2024, 0.995), (2025, 0.93)):  # some players of 2024 had retired by 2025
        queries = [
            (NameQuery(name=name, team=codes.get(team, team), season=season), truth)
            for name, truth, team in pitchers(savant)
        ]
        found = resolve_all(resolver, queries)
        assert found.wrong == []
        assert found.share >= share


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("year", [2022, 2023, 2024])
async def test_names_of_another_source_resolve(resolver: Resolver, real_data: Path, year: int, role: Role) -> None:
    plays = pl.read_parquet(real_data / "statsapi_plays" / f"plays_{year}.parquet")
    names = plays.select(role.value, f"{role.value}_id").drop_nulls().unique().rows()
    contexts = ((None, None, 0.97), (year, None, 0.985), (year, role, 0.985 if role is Role.PITCHER else 0.99))
    for season, known_role, share in contexts:
        queries = [(NameQuery(name=name, season=season, role=known_role), int(truth)) for name, truth in names]
        found = resolve_all(resolver, queries)
        assert found.wrong == []
        assert found.share >= share, found.counts


async def test_every_spelling_of_the_fantasy_map_resolves(resolver: Resolver, real_data: Path) -> None:
    cells = pl.read_csv(real_data / "ids" / "sfbb_player_id_map.csv.gz", infer_schema=False)
    spellings = [name for name in cells.columns if name.endswith("NAME") and name not in {"FIRSTNAME", "LASTNAME"}]
    born = pl.col("BIRTHDATE").str.to_date("%m/%d/%Y", strict=False)
    rows = (
        cells.filter(pl.col("MLBID").is_not_null())
        .select(pl.col("MLBID").cast(pl.Int64), born, *spellings, "LASTCOMMAFIRST", "NFBCLASTFIRST")
        .unpivot(index=["MLBID", "BIRTHDATE"], value_name="name")
        .filter(pl.col("name").is_not_null() & (pl.col("name") != "N/A"))
        .select("name", "MLBID", "BIRTHDATE")
        .unique()
    )
    found = resolve_all(resolver, [(NameQuery(name=name, born=day), truth) for name, truth, day in rows.iter_rows()])
    assert found.wrong == []  # although the map gives two players the birth dates of their namesakes
    assert found.share >= 0.999, found.counts
    alone = resolve_all(resolver, [(NameQuery(name=name), truth) for name, truth, _ in rows.iter_rows()])
    assert sorted(query.name for query, _ in alone.wrong) == [
        "Cory Abbott",
        "Max Schrock",
        "Strider, Spencer",
    ]  # of others
    assert alone.share >= 0.94, alone.counts


async def test_known_conflicts_of_map_and_register_remain(known: KnownPlayers) -> None:
    assert len(known.resolver.index) == 91_085
    counted = {
        what: len({each.player_id for each in known.conflicts if each.field == what})
        for what in ("fangraphs", "retro", "name")
    }
    assert counted == {"fangraphs": 62, "retro": 47, "name": 3}
