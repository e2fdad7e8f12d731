"""`make attack`: the long form of the attacks in `make test`.

    python -m tests.attack.run [--transport nghttp2|grpcio] [--only WORDS] [--quick]

Serves the shipped models. Exits with 1 if the default transport does not withstand an attack.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Final

from rich.console import Console

from benchmarks.production_lookup import MODELS
from benchmarks.terminal_tables import environment, table
from tests.attack.attack import Attack
from tests.attack.harness import LONG, SHORT, Durations, Result, attacked
from tests.attack.table import ATTACKS
from tests.fixtures.tls import Authority

DEFAULT: Final = "nghttp2"
COLUMNS: Final = ("attack", "p99 quiet", "p99", "worst", "memory", "after", "answers", "counter", "fault")


def main() -> None:
    """Run the attacks and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", choices=(DEFAULT, "grpcio"), action="append")
    parser.add_argument("--only", default="", help="part of the names of the attacks")
    parser.add_argument("--quick", action="store_true", help="durations of the test suite")
    args = parser.parse_args()
    console = Console(width=200)
    console.print(f"{environment()}\n")
    chosen = [each for each in ATTACKS if args.only.lower() in each.name.lower()]
    durations, withstood = SHORT if args.quick else LONG, True
    for transport in args.transport or (DEFAULT, "grpcio"):
        rows = []
        for attack, result in run(chosen, transport, durations):
            faults = result.faults(attack, durations, is_default=transport == DEFAULT)
            withstood &= not faults or transport != DEFAULT
            rows.append(_row(attack, result, faults))
            print("|".join(rows[-1]), flush=True)  # noqa: T201  progress of minutes
        console.print(table(transport, COLUMNS, rows))
    sys.exit(0 if withstood else 1)


def run(attacks: list[Attack], transport: str, durations: Durations) -> Iterator[tuple[Attack, Result]]:
    """Run attacks, those of the same needs on one server."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for authority, is_short in product((None, Authority(folder / "ca")), (False, True)):
            needs = authority is not None, is_short
            chosen = [each for each in attacks if (each.needs_tls, each.has_short_timeouts) == needs]
            if chosen:
                with attacked(MODELS, folder, transport, authority, has_short_timeouts=is_short) as server:
                    for each in chosen:
                        yield each, server.attack(each, durations)


def _row(attack: Attack, result: Result, faults: list[str]) -> tuple[str, ...]:
    return (
        attack.name,
        f"{result.quiet.p99:.1f}",
        f"{result.during.p99:.1f}",
        f"{result.during.worst:.0f}",
        f"{result.peak:.2f}",
        f"{result.after:.2f}",
        ", ".join(f"{number} {what}" for what, number in result.answers.items()),
        ", ".join(each.split('"')[-2] for each in result.moved)[:40],
        "; ".join(faults),
    )


if __name__ == "__main__":
    main()
