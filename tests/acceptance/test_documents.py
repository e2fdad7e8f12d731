"""Commands in the documents exist: every `ondeck` command line with its options, every `make` target, every module."""

import importlib.util
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click
import pytest
from markdown_it import MarkdownIt

from ondeck_cli.main import ondeck
from tests.conftest import ROOT

DOCUMENTS = sorted(
    [
        *(path for path in ROOT.glob("*.md") if path.name != "CHANGELOG.md"),  # which names commands of older versions
        *(ROOT / "docs").rglob("*.md"),
        ROOT / "benchmarks" / "README.md",
    ]
)
SHELL_LANGUAGES = {"sh", "console", "bash"}
PROGRAM = re.compile(r"^(?:\.venv/bin/)?ondeck$")
PLACEHOLDER = re.compile(r"[A-Z_…]+|\.\.\.|…")
NEEDS_QUICK = {"bench", "soak", "attack"}  # these run in tests/acceptance/test_benchmarks.py and tests/attack


@dataclass(frozen=True, kw_only=True)
class ShownCommand:
    """A command line of a document, in words; `is_inline`: within a sentence, where arguments may be left out."""

    page: str
    words: tuple[str, ...]
    is_inline: bool

    def __str__(self) -> str:
        return f"{self.page}: {' '.join(self.words)}"


def commands_shown(page: Path) -> Iterator[ShownCommand]:
    name = str(page.relative_to(ROOT))
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text()):
        if token.type == "fence" and token.info in SHELL_LANGUAGES:
            lines = token.content.replace("\\\n", " ").splitlines()
            if token.info == "console":
                lines = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            for line in lines:
                yield from _split(name, line, is_inline=False)
        for child in token.children or ():
            if child.type == "code_inline":
                yield from _split(name, child.content, is_inline=True)


def _split(page: str, line: str, *, is_inline: bool) -> Iterator[ShownCommand]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        words = []
    start = 0
    for end, word in enumerate([*words, ";"]):
        if word in {"&&", "||", "|", ";", "&", ">", "<"}:
            part = words[start:end]
            while part and re.fullmatch(r"[A-Z_]+=.*", part[0]):
                part = part[1:]
            if part:
                yield ShownCommand(page=page, words=tuple(part), is_inline=is_inline)
            start = end + 1


@cache
def all_commands() -> list[ShownCommand]:
    return [each for page in DOCUMENTS for each in commands_shown(page)]


def find_command(words: tuple[str, ...]) -> tuple[click.Command, list[str]]:
    """Follow the words into groups; returns the command and the words that are left.

    Raises:
        LookupError: a group has no such command.
    """
    command: click.Command = ondeck
    context = click.Context(ondeck, info_name="ondeck")
    remaining = list(words)
    while isinstance(command, click.Group) and remaining and not remaining[0].startswith("-"):
        found = command.get_command(context, remaining[0])
        if found is None:
            raise LookupError(f"no command {remaining[0]!r} in {context.command_path}")
        command, context = found, click.Context(found, info_name=remaining[0], parent=context)
        remaining = remaining[1:]
    return command, remaining


def unknown_options(command: click.Command, words: list[str]) -> list[str]:
    """Return the options among the words that a command does not have."""
    known = {"--help"} | {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    given = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
    return sorted(given - known)


def problem_with(shown: ShownCommand) -> str | None:
    """Return what is wrong with a command line of `ondeck`, if anything."""
    words = tuple(word for word in shown.words[1:] if not PLACEHOLDER.fullmatch(word))
    try:
        command, remaining = find_command(words)
    except LookupError as missing:
        return str(missing)
    if unknown := unknown_options(command, remaining):
        return f"{command.name} has no {', '.join(unknown)}"
    if isinstance(command, click.Group) and not shown.is_inline and not remaining:
        return f"{command.name} is a group"
    return None


def test_the_documents_show_commands() -> None:
    assert sum(bool(PROGRAM.match(each.words[0])) for each in all_commands()) > 20
    assert problem_with(ShownCommand(page="", words=("ondeck", "no-such-command"), is_inline=False))
    assert problem_with(ShownCommand(page="", words=("ondeck", "serve", "--no-such-option"), is_inline=False))


def test_every_ondeck_command_line_exists_with_its_options() -> None:
    shown = [each for each in all_commands() if PROGRAM.match(each.words[0])]
    assert {str(each): problem for each in shown if (problem := problem_with(each))} == {}


def test_every_make_target_in_a_document_exists(targets: set[str]) -> None:
    shown = [each for each in all_commands() if each.words[0] == "make"]
    named = {(str(each), word) for each in shown for word in each.words[1:] if re.fullmatch(r"[a-z-]+", word)}
    assert {(command, target) for command, target in named if target not in targets} == set()


def test_every_module_that_a_document_runs_exists() -> None:
    shown = [each for each in all_commands() if re.search(r"python3?$", each.words[0]) and "-m" in each.words[:-1]]
    modules = {each.words[each.words.index("-m") + 1] for each in shown}
    assert {"benchmarks.soak"} <= modules
    assert {name for name in modules if importlib.util.find_spec(name) is None} == set()


@pytest.fixture(scope="module")
def targets(root: Path) -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.MULTILINE))


def test_make_resolves_every_target(root: Path, targets: set[str]) -> None:
    for target in sorted(targets):
        done = subprocess.run(["make", "-n", target], cwd=root, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (target, done.stderr)
    for target in NEEDS_QUICK:
        done = subprocess.run(["make", "-n", target, "QUICK=1"], cwd=root, capture_output=True, text=True, check=True)
        assert "--quick" in done.stdout


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_resolves(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|mailto:)([^)\s]+)\)", page.read_text())
    assert [target for target in targets if not _resolves(page, target)] == []


def _resolves(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    linked = page if not name else (page.parent / name).resolve()
    if not linked.exists():
        return False
    return not anchor or linked.suffix != ".md" or anchor in _anchors(linked)


def _anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
