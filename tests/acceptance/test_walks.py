"""The files that a call passes: few enough to read, and as docs/architecture.md lists them."""

from functools import cache

import pytest

from tools.trace_walks import DOCUMENT, WALKS, files_shown, fill, trace_walk

MAX_FILES = {"predict": 24, "load": 18, "ingest-day": 22, "train": 32}
TRIES = 3


@cache
def traced(name: str) -> list[str]:
    """Trace a call; again if it differs from the document, as the repository may be read again during a call."""
    traces = (trace_walk(name) for _ in range(TRIES))
    shown = files_shown(DOCUMENT.read_text(), name)
    return next((files for files in traces if files == shown), None) or trace_walk(name)


@pytest.mark.parametrize("name", WALKS)
def test_a_call_path_passes_few_files(name: str) -> None:
    files = traced(name)
    assert 5 < len(files) <= MAX_FILES[name], files


@pytest.mark.parametrize("name", WALKS)
def test_the_architecture_lists_each_call_path_as_traced(name: str) -> None:
    assert files_shown(DOCUMENT.read_text(), name) == traced(name)


def test_the_architecture_describes_each_file_as_its_docstring_does() -> None:
    text = DOCUMENT.read_text()
    assert fill(text, {name: files_shown(text, name) for name in WALKS}) == text
