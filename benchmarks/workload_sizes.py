"""How much each benchmark of `make bench` does: the full form, and a quick one that only shows that all of it runs."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes of the benchmarks; `uses_real_rows`: prefer real Statcast rows and the real register where they exist."""

    name: str
    uses_real_rows: bool
    rounds: int
    seconds: float  # of load, for each mode and round
    rows: int
    graph_runs: dict[int, int]  # by the rows of a run
    offload_runs: int
    bulk_rows: int
    explained: int
    ingest_rounds: int
    ingest_games: int
    season_rounds: int
    season_days: int
    players: int
    player_queries: int


FULL: Final = Scale(
    name="full",
    uses_real_rows=True,
    rounds=3,
    seconds=3.0,
    rows=8192,
    graph_runs={1: 3000, 128: 200},
    offload_runs=300,
    bulk_rows=380_000,
    explained=200,
    ingest_rounds=3,
    ingest_games=150,
    season_rounds=2,
    season_days=180,
    players=90_000,
    player_queries=10_000,
)

QUICK: Final = Scale(
    name="quick",
    uses_real_rows=False,
    rounds=1,
    seconds=0.3,
    rows=2048,
    graph_runs={1: 100, 128: 10},
    offload_runs=20,
    bulk_rows=20_000,
    explained=3,
    ingest_rounds=1,
    ingest_games=2,
    season_rounds=1,
    season_days=2,
    players=2_000,
    player_queries=500,
)
