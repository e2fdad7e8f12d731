"""Write the table of attacks into its document.

python -m tests.attack.document
"""

import re
from pathlib import Path
from typing import Final

from tests.attack.attack import Attack
from tests.attack.table import ATTACKS
from tests.conftest import ROOT

DOCUMENT: Final[Path] = ROOT / "docs" / "reference" / "attacks.md"
_MARKED: Final = re.compile(r"(?P<begin><!-- attacks: [^>]*-->\n).*?(?P<end><!-- end -->)", re.DOTALL)


def attack_table() -> str:
    """Return the table of every attack."""
    lines = ["| attack | kind | answers of nghttp2 | counter that moves | grpcio |", "| --- " * 5 + "|"]
    return "\n".join([*lines, *map(_row, ATTACKS)])


def fill(text: str) -> str:
    """Return the document with its table written anew."""
    return _MARKED.sub(lambda found: f"{found['begin']}\n{attack_table()}\n\n{found['end']}", text)


def _row(attack: Attack) -> str:
    answers = ", ".join(f"`{each}`" for each in attack.answers)
    if attack.can_be_silent or not answers:
        answers = f"none, or {answers}" if answers else "none"
    counters = ", ".join(f"`{each}`" for each in map(_label, attack.counters)) or "none: nothing is refused"
    return f"| {attack.name} | {attack.kind} | {answers} | {counters} | {attack.grpcio or 'withstands'} |"


def _label(counter: str) -> str:
    return counter.partition("{")[2].removesuffix("}") or counter


if __name__ == "__main__":
    DOCUMENT.write_text(fill(DOCUMENT.read_text()))
