"""Commit subjects are `area: imperative` of at most 71 characters, from the commit on that adds this file."""

import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

FORM: Final = re.compile(r"[a-z][a-z0-9_./-]*: [a-z]\S*( \S+)*")
MAX_LENGTH: Final = 71
ENDINGS_OF_OTHER_MOODS: Final = ("ed", "ing")
IMPERATIVES: Final = {"bring", "embed", "feed", "need", "proceed", "ring", "seed", "shed", "speed", "string"}


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no git history here: {done.stderr.strip() or arguments[0]}")
    return done.stdout.strip()


def is_imperative(subject: str) -> bool:
    """Return whether a subject has the form; the ending of its first word shows the mood."""
    verb = subject.partition(": ")[2].partition(" ")[0]
    return bool(FORM.fullmatch(subject)) and (verb in IMPERATIVES or not verb.endswith(ENDINGS_OF_OTHER_MOODS))


def test_every_subject_since_the_rule_names_its_area_and_is_imperative(root: Path) -> None:
    if git(root, "rev-parse", "--is-shallow-repository") == "true":
        pytest.skip("the history is shallow")
    added = git(root, "log", "--diff-filter=A", "--format=%H", "--", str(Path(__file__).relative_to(root)))
    if not added:
        pytest.skip("the rule is not committed yet")
    since = added.splitlines()[-1]
    subjects = git(root, "log", "--no-merges", "--format=%s", f"{since}..HEAD").splitlines()
    assert [each for each in subjects if len(each) > MAX_LENGTH or not is_imperative(each)] == []


@pytest.mark.parametrize(
    ("subject", "is_right"),
    [
        ("registry: verify imported graphs", True),
        ("cli/up: read the address from a line", True),
        ("Registry: verify imported graphs", False),
        ("registry: Verify imported graphs", False),
        ("registry: verified imported graphs", False),
        ("verify imported graphs", False),
        ("registry: embed the version", True),
    ],
)
def test_a_subject_is_an_area_and_an_imperative(subject: str, *, is_right: bool) -> None:
    assert is_imperative(subject) is is_right
