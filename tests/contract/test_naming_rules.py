"""Names follow the rules of CONTRIBUTING.md: one class per name, noun modules, plain words, stable log events."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import ROOT
from tests.contract.source_tree import product_files, public_classes, syntax_tree, text_files

NOUNS_IN_ING: Final = {"batching", "logging", "preprocessing", "scoring", "sharing", "streaming"}
LOG_EVENT: Final = re.compile(r"[a-z]+(_[a-z0-9]+)+")
LOG_METHODS: Final = {"debug", "info", "warning", "error", "exception", "critical"}
SHARED_CLASS_NAMES: Final = {"Call", "StreamCall"}
PACKAGES_WITH_SENTENCES_AS_EVENTS: Final = {"server"}

# Words that the project does not use, in any file that a person reads.
FORBIDDEN: Final = """
anybody crew everybody farewell he heard hears him himself his hollow house hurry judge judged judgement man men
mend mended mends mourn nobody odd pen somebody stranger strangers taker tell telling tells told troubled whoever
wish wishes
"""
# Where a forbidden word may still stand. The list only shrinks.
EXCEPTIONS: Final = {
    "CONTRIBUTING.md": "judge told",
    "README.md": "him his judge judged man tell tells",
    "benchmarks": "nobody tells",
    "docs": "everybody farewell he him himself his judge judged judgement man men mend mended nobody odd somebody"
    " strangers tell tells told whoever wish",
    "pyproject.toml": "tells",
    "registry": "judged nobody tell tells told whoever",
    "server": "anybody farewell he heard hears him his house nobody pen somebody tell tells told whoever wishes",
    "store": "nobody",  # the system account
    "tests": "anybody farewell he heard hears him his house judge judged man men mended mends nobody odd somebody"
    " stranger taker tell telling tells told whoever",
    "tools": "judged",
}
WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
MIGRATIONS: Final = (ROOT / "store/ondeck_store/migrations/versions").glob("*.py")  # applied SQL never changes
UNREAD: Final = {ROOT / "CHANGELOG.md", Path(__file__), *MIGRATIONS}


def test_no_two_public_classes_share_a_name() -> None:
    names = Counter(name for path in product_files() for name in public_classes(path))
    assert {name for name, count in names.items() if count > 1} - SHARED_CLASS_NAMES == set()


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


def forbidden_words() -> dict[str, dict[str, list[str]]]:
    """Return the forbidden words in use, by top folder and word, with the files that hold them."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in text_files():
        if path not in UNREAD:
            name = path.relative_to(ROOT)
            for word in words_of(path.read_text()) & set(FORBIDDEN.split()):
                found[name.parts[0]][word].append(str(name))
    return found


def test_no_file_uses_a_forbidden_word() -> None:
    used = [
        f"{word}: {', '.join(files)}"
        for folder, words in forbidden_words().items()
        for word, files in words.items()
        if word not in EXCEPTIONS.get(folder, "").split()
    ]
    assert used == []


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
    files = [
        path for path in product_files() if path.relative_to(ROOT).parts[0] not in PACKAGES_WITH_SENTENCES_AS_EVENTS
    ]
    sentences = [
        f"{path.relative_to(ROOT)}:{line}: {ast.unparse(event)}"
        for path in files
        for line, event in log_events(path)
        if not is_log_event(event)
    ]
    assert sentences == []
