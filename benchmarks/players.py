"""Player look-ups in memory: by id and by name, one at a time and thousands in a row."""

import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

import polars as pl

from benchmarks.input_rows import REAL
from benchmarks.workload_sizes import Scale
from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.models import IdQuery, NameQuery, Player
from ondeck_core.players.register_formats import read_register
from ondeck_core.players.resolver import Resolver

COLUMNS = ("", "median us", "p99 us", "all, s")
REGISTER = REAL / "ids" / "chadwick_register.csv.gz"


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Measure over the real register where it exists; returns a title and the rows of the table."""
    players, origin = _players(scale)
    queries = scale.player_queries
    resolver = Resolver(index=PlayerIndex.of(players, {}), today=date(2026, 7, 1), next_try=datetime.now(UTC))
    chosen = (players * (queries // len(players) + 1))[:: max(1, len(players) // queries)][:queries]
    by_id = [IdQuery(system="mlbam", id=str(player.player_id)) for player in chosen]
    by_name = [NameQuery(name=f"{player.last}, {player.first}") for player in chosen]
    lines = [_line("by id", resolver.by_id, by_id), _line("by name", resolver.by_name, by_name)]
    return f"{len(chosen):,} look-ups among {len(players):,} {origin}", lines


def _line(name: str, resolve: Callable[..., object], queries: Sequence[object]) -> tuple[str, ...]:
    micros = []
    begin = time.perf_counter()
    for query in queries:
        started = time.perf_counter()
        resolve(query)
        micros.append((time.perf_counter() - started) * 1e6)
    total = time.perf_counter() - begin
    return name, f"{statistics.median(micros):.1f}", f"{statistics.quantiles(micros, n=100)[-1]:.1f}", f"{total:.2f}"


def _players(scale: Scale) -> tuple[list[Player], str]:
    if not (scale.uses_real_rows and REGISTER.is_file()):
        return [
            Player(player_id=n, first=f"First{n % 300}", last=f"Last{n}", professional=(2015, 2026))
            for n in range(1, scale.players)
        ], "generated players"
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
    ], "players of the real register"
