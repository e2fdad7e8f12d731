"""`make soak`: the long form of what `make test` does in short, with the figures that it is judged by.

    python -m benchmarks.soak [--reloads 300] [--cancels 100000] [--rate 500] [--flips 50] [--workers 2]

It serves a copy of the shipped models. It ends with exit code 1 where a figure is not as it should be.
"""

import argparse
import platform
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benchmarks.rows import ROOT
from benchmarks.tables import table
from tests.fixtures.server import RunningServer, serving
from tests.soak.reloads import siblings_of
from tests.soak.rolling import AGE_SECONDS, DRAIN_SECONDS, Rolled, roll
from tests.soak.run import WARM, Length, Soaked, soak

MOST_GROWTH = 0.03
COLUMNS = ("", "is", "should be")
Judged = tuple[str, str, str, bool]


def main() -> None:
    """Do all of it and print it."""
    words = _words()
    console = Console(width=120)
    console.print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.machine()}, Python {platform.python_version()}\n")
    length = Length(reloads=words.reloads, cancels=words.cancels, seconds=words.seconds)
    held = True
    for processes in words.processes:
        with _served(processes) as (server, models):
            soaked = soak(server, models, length)
            held &= _show(console, f"soak, {processes} process(es)", of_soak(soaked, length, processes))
            for example in soaked.seen["examples"]:
                console.print(f"not as it should be: {example}", markup=False)
    with _served(2, max_connection_age_seconds=AGE_SECONDS, drain_seconds=DRAIN_SECONDS) as (server, models):
        rolled = roll(server, models, rate=words.rate, flips=words.flips)
        held &= _show(console, "rolling restart and alias flips, 2 processes", of_rolling(rolled, words.flips))
    sys.exit(0 if held else 1)


def of_soak(soaked: Soaked, length: Length, processes: int) -> list[Judged]:
    """Judge a soak."""
    seen, before, after = soaked.seen, soaked.before, soaked.after
    least = processes * length.reloads
    lines = [
        ("reloads", f"{soaked.reloads}", f"{length.reloads}", soaked.reloads == length.reloads),
        ("versions loaded by workers", f"{soaked.loads}", f"≥ {least}", soaked.loads >= least),
        ("cancelled calls", f"{seen['cancelled']:,}", f"≥ {length.cancels:,}", seen["cancelled"] >= length.cancels),
        ("answers checked", f"{sum(seen['answers'].values()):,}", "", True),
        ("versions that answered", f"{len(seen['versions'])}", "", True),
        ("wrong answers", f"{seen['wrong']}", "0", seen["wrong"] == 0),
        ("calls that hung", f"{seen['hung']}", "0", seen["hung"] == 0),
        ("calls that failed", f"{sum(seen['failed'].values())}", "0", not seen["failed"]),
        ("leases left", f"{after.leases}", "0", after.leases == 0),
        ("graphs open", f"{after.sessions}", f"{before.sessions} as at first", after.sessions == before.sessions),
        ("tasks", f"{after.tasks}", f"{before.tasks} as at first", after.tasks == before.tasks),
        ("seconds", f"{soaked.seconds:.0f}", "", True),
    ]
    return lines + _memory(soaked) if soaked.reloads > WARM else lines


def of_rolling(rolled: Rolled, flips: int) -> list[Judged]:
    """Judge a rolling restart; calls without retries are told, and not judged."""
    asked, answered, lost = (rolled.seen[name] for name in ("asked", "answered", "lost"))
    return [
        ("alias flips", f"{rolled.flips}", f"≥ {flips}", rolled.flips >= flips),
        ("calls a second", f"{(asked['client'] + asked['plain']) / rolled.seconds:,.0f}", "", True),
        ("calls of the client", f"{asked['client']:,}", "", True),
        ("of these lost", f"{sum(lost['client'].values())}", "0", not lost["client"]),
        ("instances of its stream", f"{asked['stream']:,}", "", True),
        ("not answered", f"{asked['stream'] - answered['stream']}", "0", asked["stream"] == answered["stream"]),
        ("calls that nobody repeats", f"{asked['plain']:,}", "", True),
        ("of these lost", f"{sum(lost['plain'].values())}", "", True),
        ("versions that answered", f"{len(rolled.seen['versions'])}", "2", len(rolled.seen["versions"]) == 2),
        ("answers of another version", f"{rolled.seen['wrong']}", "0", rolled.seen["wrong"] == 0),
        ("seconds", f"{rolled.seconds:.0f}", "", True),
    ]


def _memory(soaked: Soaked) -> list[Judged]:
    growth = soaked.growth
    return [
        (f"MiB of the workers after {WARM} reloads", f"{sum(soaked.warm):.1f}", "", True),
        ("MiB of the workers at the end", f"{sum(soaked.late):.1f}", "", True),
        ("growth between", f"{growth:+.1%}", f"≤ {MOST_GROWTH:.0%}", growth <= MOST_GROWTH),
        ("that of each", ", ".join(f"{each:+.1%}" for each in soaked.growths), "", True),
    ]


def _show(console: Console, title: str, judged: list[Judged]) -> bool:
    rows: list[tuple[str, ...]] = [
        (what, value if held else f"{value}  NOT MET", wanted) for what, value, wanted, held in judged
    ]
    console.print(table(title, COLUMNS, rows))
    return all(held for *_, held in judged)


@contextmanager
def _served(processes: int, **settings: float) -> Iterator[tuple[RunningServer, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        models = siblings_of(Path(folder) / "models", ROOT / "onnx_models")
        words = ("--version-policy", "aliases", "--workers", str(processes))
        with serving(models, *words, log=Path(folder) / "log", **settings) as server:
            yield server, models


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--reloads", type=int, default=300)
    parser.add_argument("--cancels", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=1200, help="for what cancels are left after the last reload")
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--flips", type=int, default=50)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 1], help="of the servers that are soaked")
    return parser.parse_args()


if __name__ == "__main__":
    main()
