"""The files that a call passes: few enough to read, and as docs/architecture.md lists them."""

from functools import cache

import pytest

from tools.trace_walks import DOCUMENT, WALKS, files_shown, trace_walk

MAX_FILES = {"predict": 37, "load": 29, "ingest-day": 30, "train": 56}
GOAL = {"predict": 24, "load": 18, "ingest-day": 22, "train": 32}  # MAX_FILES only ever moves towards these

traced = cache(trace_walk)


@pytest.mark.parametrize("name", WALKS)
def test_a_call_path_passes_few_files(name: str) -> None:
    files = traced(name)
    assert GOAL[name] <= MAX_FILES[name]
    assert 5 < len(files) <= MAX_FILES[name], files


@pytest.mark.parametrize("name", WALKS)
def test_the_architecture_lists_each_call_path_as_traced(name: str) -> None:
    if not DOCUMENT.exists():
        pytest.skip("docs/architecture.md is not written yet")
    assert files_shown(DOCUMENT.read_text(), name) == traced(name)
