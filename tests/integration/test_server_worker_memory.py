"""A worker holds in memory what serving needs: no library of other processes, no file of a graph that is open."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

from ondeck_registry.onnx_session import open_graph
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import RunningServer

UNUSED: Final = {
    *("polars", "pandas", "pyarrow", "sqlalchemy", "asyncpg", "alembic"),  # the database
    *("sklearn", "scipy", "onnx", "skl2onnx", "matplotlib"),  # training
    *("grpc", "cryptography"),  # the other transport, and TLS
    *("rapidfuzz", "ftfy", "anyascii", "nicknames"),  # names of players
    *("aiohttp", "click", "rich", "requests"),  # the supervisor and the command line
}
LIST_MODULES: Final = """
import sys, ondeck_server.worker.__main__
print(*{name.partition('.')[0] for name, module in sys.modules.items() if module is not None})
"""


def test_the_modules_of_a_worker_are_those_that_serving_needs() -> None:
    command = [sys.executable, "-P", "-c", LIST_MODULES]
    imported = set(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split())
    assert {"onnxruntime", "numpy", "ngh2"} <= imported
    assert imported & UNUSED == set()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="Linux only")
def test_a_worker_that_serves_has_mapped_no_other_library(running_server: RunningServer) -> None:
    for worker in running_server.workers():
        folders = {part for each in psutil.Process(worker.pid).memory_maps() for part in Path(each.path).parts}
        assert "onnxruntime" in folders
        assert folders & UNUSED == set()


def test_an_open_session_keeps_no_file_of_its_graph() -> None:
    graph = scoring_graph()
    before = sys.getrefcount(graph)
    session = open_graph(graph)
    assert session.get_inputs()
    assert sys.getrefcount(graph) == before
