"""The files that a call passes: few enough to read, and as docs/architecture.md lists them."""

from functools import cache

import pytest

from tools.trace_walks import DOCUMENT, WALKS, files_shown, fill, trace_walk

MAX_FILES = {"predict": 24, "load": 18, "ingest-day": 22, "train": 33}

traced = cache(trace_walk)


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
