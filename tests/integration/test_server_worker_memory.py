"""A worker that serves no players imports no library that only other processes need."""

import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

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
