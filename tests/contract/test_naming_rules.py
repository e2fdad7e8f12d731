"""Names follow the rules of CONTRIBUTING.md: one class per name, noun modules, plain words, stable log events."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import ROOT
from tests.contract.source_tree import product_files, public_classes, syntax_tree, text_files

NOUNS_IN_ING: Final = {"batching", "logging", "scoring", "streaming", "tracing"}
LOG_EVENT: Final = re.compile(r"[a-z]+(_[a-z0-9]+)+")
LOG_METHODS: Final = {"debug", "info", "warning", "error", "exception", "critical"}

# Words and phrases that the project does not use, in any file that a person reads.
FORBIDDEN: Final = """
anybody begun bygone counterfeit crew door doors everybody farewell farewells gladly he hear heard hearing hears him
himself his hollow house houses hurry judge judged judgement judges judging man manners meant men mend mended mending
mends mourn nobody odd pen quietly said somebody speaks spoke spoken stranger strangers taker takers tell telling tells
told troubled wanted whatever wherever whoever wish wished wishes
"""
PHRASES: Final = re.compile(r"\b(at hand|by hand|given up|goes on|in vain|lets? go|made[ -]up|tak(e|es|en) back)\b")
# Files that need a forbidden word: names of older formats and a system account.
EXCEPTIONS: Final = {
    "registry/ondeck_registry/migrate_format.py": "judged",
    "store/ondeck_store/embedded/account.py": "nobody",
    "tests/integration/test_migrations.py": "odd, taken back, wanted",
}
WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
MIGRATIONS: Final = (ROOT / "store/ondeck_store/migrations/versions").glob("*.py")  # applied SQL never changes
UNREAD: Final = {ROOT / "CHANGELOG.md", Path(__file__), *MIGRATIONS}


def test_no_two_public_classes_share_a_name() -> None:
    names = Counter(name for path in product_files() for name in public_classes(path))
    assert {name for name, count in names.items() if count > 1} == set()


def test_modules_are_nouns() -> None:
    stems = {path.relative_to(ROOT): path.stem.rpartition("_")[2] for path in product_files()}
    stems |= {path.parent.relative_to(ROOT): path.parent.name.rpartition("_")[2] for path in product_files()}
    assert [str(path) for path, last in stems.items() if last.endswith("ing") and last not in NOUNS_IN_ING] == []


def words_of(text: str) -> set[str]:
    """Return the words of a text in small letters; identifiers are split at underscores and capitals."""
    return {word.lower() for word in WORD.findall(text)}


def test_identifiers_are_split_into_words() -> None:
    assert words_of("self._judgedModels = HTTPServer(told_twice)") == {
        *("self", "judged", "models", "http", "server", "told", "twice")
    }


def forbidden_words(path: Path) -> set[str]:
    """Return the forbidden words and phrases of a file, without its exceptions."""
    text = path.read_text()
    allowed = EXCEPTIONS.get(str(path.relative_to(ROOT)), "").split(", ")
    phrases = {phrase[0] for phrase in PHRASES.finditer(text.replace("_", " ").lower())}
    return (words_of(text) & set(FORBIDDEN.split()) | phrases) - set(allowed)


def test_no_file_uses_a_forbidden_word() -> None:
    found = {str(path.relative_to(ROOT)): forbidden_words(path) for path in text_files() if path not in UNREAD}
    assert {name: words for name, words in found.items() if words} == {}


def log_events(path: Path) -> Iterator[tuple[int, ast.expr]]:
    """Return line and first argument of each call that logs."""
    for node in ast.walk(syntax_tree(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in LOG_METHODS
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in {"log", "logger"}
        ):
            yield node.lineno, node.args[0]


def is_log_event(argument: ast.expr) -> bool:
    return (
        isinstance(argument, ast.Constant)
        and isinstance(argument.value, str)
        and LOG_EVENT.fullmatch(argument.value) is not None
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [("'worker_ready'", True), ("'worker ready'", False), ("'ready'", False), ("f'worker_{word}'", False)],
)
def test_a_log_event_is_a_literal_noun_and_verb(source: str, *, expected: bool) -> None:
    assert is_log_event(ast.parse(source, mode="eval").body) is expected


def test_log_events_are_noun_and_verb() -> None:
    events = [(path.relative_to(ROOT), *event) for path in product_files() for event in log_events(path)]
    assert len(events) > 20
    assert [f"{path}:{line}: {ast.unparse(event)}" for path, line, event in events if not is_log_event(event)] == []
