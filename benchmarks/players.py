"""The resolver's look-ups, in memory: by id, by name, and ten thousand names at once."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import polars as pl

from benchmarks.rows import REAL
from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import Player
from ondeck_core.players.queries import IdQuery, NameQuery
from ondeck_core.players.register_formats import read_register
from ondeck_core.players.resolver import Resolver

COLUMNS = ("", "median us", "p99 us", "10,000 at once, s")
REGISTER = REAL / "ids" / "chadwick_register.csv.gz"
ASKED = 10_000
MADE_UP = 90_000


def measure() -> tuple[str, list[tuple[str, ...]]]:
    """Measure over the real register where it is at hand; returns a title and the rows of the table."""
    people, origin = _people()
    resolver = Resolver(index=PlayerIndex(people, {}), today=date(2026, 7, 1), next_try=datetime.now(UTC))
    chosen = (people * (ASKED // len(people) + 1))[:: max(1, len(people) // ASKED)][:ASKED]
    by_id = [IdQuery(system="mlbam", id=str(person.player_id)) for person in chosen]
    by_name = [NameQuery(name=f"{person.last}, {person.first}") for person in chosen]
    lines = [_line("by id", resolver.by_id, by_id), _line("by name", resolver.by_name, by_name)]
    return f"players: {len(people):,} {origin}", lines


def _line(name: str, resolve: Callable[..., object], asked: Sequence[object]) -> tuple[str, ...]:
    each = []
    begin = time.perf_counter()
    for question in asked:
        started = time.perf_counter()
        resolve(question)
        each.append((time.perf_counter() - started) * 1e6)
    whole = time.perf_counter() - begin
    return name, f"{statistics.median(each):.1f}", f"{statistics.quantiles(each, n=100)[-1]:.1f}", f"{whole:.2f}"


def _people() -> tuple[list[Player], str]:
    if not REGISTER.is_file():
        return [
            Player(player_id=n, first=f"First{n % 300}", last=f"Last{n}", professional=(2015, 2026))
            for n in range(1, MADE_UP)
        ], "made-up people"
    rows = read_register(pl.read_csv(REGISTER, infer_schema=False)).people
    return [
        Player(
            player_id=row["player_id"],
            first=row["name_first"] or "",
            last=row["name_last"] or "",
            given=row["name_given"] or "",
            professional=(row["pro_first"], row["pro_last"]) if row["pro_first"] else None,
            major_league=(row["mlb_first"], row["mlb_last"]) if row["mlb_first"] else None,
        )
        for row in rows.iter_rows(named=True)
    ], "people of the real register"
