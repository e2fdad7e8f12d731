"""`make soak`: the long form of the soak in `make test`, with the limits that it must meet.

    python -m benchmarks.soak [--reloads 300] [--cancels 100000] [--rate 500] [--flips 50] [--workers 2] [--quick]

Serves a copy of the shipped models. Exits with 1 if a limit is exceeded. `--quick` runs both parts for some seconds.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.production_lookup import MODELS
from benchmarks.terminal_tables import environment, table
from tests.fixtures.server import RunningServer, serving
from tests.soak.reloader import copy_with_siblings
from tests.soak.rolling_restart import (
    DRAIN_SECONDS,
    MAX_CONNECTION_AGE_SECONDS,
    RollingRestartResult,
    restart_workers,
)
from tests.soak.run import WARM_UP_RELOADS, SoakPlan, SoakResult, soak

MAX_MEMORY_GROWTH: Final = 0.03
COLUMNS: Final = ("", "measured", "expected")
QUICK: Final = {"reloads": 12, "cancels": 1000, "seconds": 60.0, "rate": 100.0, "flips": 4, "workers": [2]}
Check = tuple[str, str, str, bool]


def main() -> None:
    """Run all of it and print the tables."""
    args = _parse_args()
    console = Console(width=120)
    console.print(f"{environment()}\n")
    plan = SoakPlan(reloads=args.reloads, cancels=args.cancels, seconds=args.seconds)
    passed = True
    for workers in args.workers:
        with _serve_siblings(workers) as (server, models):
            result = soak(server, models, plan)
            passed &= _show(console, f"soak, {workers} worker(s)", check_soak(result, plan, workers))
            for example in result.seen["examples"]:
                console.print(f"unexpected: {example}", markup=False)
    settings = {"max_connection_age_seconds": MAX_CONNECTION_AGE_SECONDS, "drain_seconds": DRAIN_SECONDS}
    with _serve_siblings(2, **settings) as (server, models):
        restarted = restart_workers(server, models, rate=args.rate, flips=args.flips)
        title = "rolling restart and alias flips, 2 workers"
        passed &= _show(console, title, check_rolling_restart(restarted, args.flips))
    sys.exit(0 if passed else 1)


def check_soak(result: SoakResult, plan: SoakPlan, workers: int) -> list[Check]:
    """Compare a soak with its limits."""
    seen, before, after = result.seen, result.before, result.after
    least = workers * plan.reloads
    checks = [
        ("reloads", f"{result.reloads}", f"{plan.reloads}", result.reloads == plan.reloads),
        ("versions loaded by workers", f"{result.loads}", f"≥ {least}", result.loads >= least),
        ("cancelled calls", f"{seen['cancelled']:,}", f"≥ {plan.cancels:,}", seen["cancelled"] >= plan.cancels),
        ("responses checked", f"{sum(seen['responses'].values()):,}", "", True),
        ("versions that answered", f"{len(seen['versions'])}", "", True),
        ("wrong responses", f"{seen['wrong']}", "0", seen["wrong"] == 0),
        ("calls past their deadline", f"{seen['hung']}", "0", seen["hung"] == 0),
        ("calls that failed", f"{sum(seen['failed'].values())}", "0", not seen["failed"]),
        ("leases left", f"{after.leases}", "0", after.leases == 0),
        ("open ONNX sessions", f"{after.sessions}", f"{before.sessions} as before", after.sessions == before.sessions),
        ("asyncio tasks", f"{after.tasks}", f"{before.tasks} as before", after.tasks == before.tasks),
        ("seconds", f"{result.seconds:.0f}", "", True),
    ]
    return checks + _check_memory(result) if result.reloads > WARM_UP_RELOADS else checks


def check_rolling_restart(result: RollingRestartResult, flips: int) -> list[Check]:
    """Compare a rolling restart with its limits; calls without retries are counted, without a limit."""
    sent, received, lost = (result.seen[name] for name in ("sent", "received", "lost"))
    return [
        ("alias flips", f"{result.flips}", f"≥ {flips}", result.flips >= flips),
        ("calls a second", f"{(sent['client'] + sent['plain']) / result.seconds:,.0f}", "", True),
        ("calls of the client", f"{sent['client']:,}", "", True),
        ("of these lost", f"{sum(lost['client'].values())}", "0", not lost["client"]),
        ("instances of its stream", f"{sent['stream']:,}", "", True),
        ("without a result", f"{sent['stream'] - received['stream']}", "0", sent["stream"] == received["stream"]),
        ("calls without retries", f"{sent['plain']:,}", "", True),
        ("of these lost", f"{sum(lost['plain'].values())}", "", True),
        ("versions that answered", f"{len(result.seen['versions'])}", "2", len(result.seen["versions"]) == 2),
        ("responses of another version", f"{result.seen['wrong']}", "0", result.seen["wrong"] == 0),
        ("seconds", f"{result.seconds:.0f}", "", True),
    ]


def _check_memory(result: SoakResult) -> list[Check]:
    growth = result.growth
    return [
        (f"MiB of the workers after {WARM_UP_RELOADS} reloads", f"{sum(result.memory_warm):.1f}", "", True),
        ("MiB of the workers at the end", f"{sum(result.memory_end):.1f}", "", True),
        ("growth between", f"{growth:+.1%}", f"≤ {MAX_MEMORY_GROWTH:.0%}", growth <= MAX_MEMORY_GROWTH),
        ("growth of each worker", ", ".join(f"{each:+.1%}" for each in result.growth_by_worker), "", True),
    ]


def _show(console: Console, title: str, checks: list[Check]) -> bool:
    rows: list[tuple[str, ...]] = [
        (name, value if passed else f"{value}  FAILED", expected) for name, value, expected, passed in checks
    ]
    console.print(table(title, COLUMNS, rows))
    return all(passed for *_, passed in checks)


@contextmanager
def _serve_siblings(workers: int, **settings: float) -> Iterator[tuple[RunningServer, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        models = copy_with_siblings(Path(folder) / "models", MODELS)
        options = ("--version-policy", "aliases", "--workers", str(workers))
        with serving(models, *options, log=Path(folder) / "log", **settings) as server:  # type: ignore[arg-type]  # no setting is called python
            yield server, models


def _parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="both parts for some seconds")
    parser.add_argument("--reloads", type=int, default=300)
    parser.add_argument("--cancels", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1200, help="limit for the cancels left after the last reload")
    parser.add_argument("--rate", type=float, default=500, help="calls a second during the rolling restart")
    parser.add_argument("--flips", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1], help="of the servers in the soak")
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


if __name__ == "__main__":
    main()
