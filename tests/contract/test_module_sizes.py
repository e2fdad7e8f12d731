"""Sizes of modules: files of moderate length, few tiny modules with one importer, packages that state their purpose."""

import ast
from statistics import median
from typing import Final

from tests.conftest import ROOT
from tests.contract.source_tree import (
    SUPPORT_ROOTS,
    importers,
    line_count,
    module_name,
    product_files,
    python_files,
    syntax_tree,
)

MAX_LINES: Final = 350
MEDIAN_LINES: Final = (90, 150)
SMALL_LINES: Final = 60
MAX_SEAMS: Final = 15
SEAMS: Final = {
    "ondeck_store.query_metrics": "how statements become labels; the ingest worker only measures",
    "ondeck_server.supervisor.log_level": "the one admin page that changes the server",
    "ondeck_server.dashboard.trend_recorder": "what is recorded in memory, without the database",
    "ondeck_server.dashboard.score_view": "one module per view of the database",
    "ondeck_server.admin": "the admin port of the server; its supervisor knows no HTTP",
    "ondeck_trainer.run_metrics": "how the metrics of a run leave it; the command only measures",
    "ondeck_server.dashboard.model_view": "the view of the repository, which needs no database",
    "ondeck_server.services.reflection": "one module per gRPC service",
    "ondeck_store.players.overrides": "the log of the overrides; the index loader reads it without SQLAlchemy",
}


def test_no_file_is_too_long() -> None:
    files = [path for path in (*product_files(), *python_files(*SUPPORT_ROOTS)) if "versions" not in path.parts]
    lengths = {str(path.relative_to(ROOT)): line_count(path) for path in files}
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_the_median_file_is_of_moderate_size() -> None:
    low, high = MEDIAN_LINES
    lengths = [line_count(path) for path in product_files() if path.name != "__init__.py"]
    assert low <= median(lengths) <= high


def test_a_small_module_has_several_importers_or_is_a_seam() -> None:
    used_by = importers()
    small = {
        module_name(path)
        for path in product_files()
        if path.name != "__init__.py" and line_count(path) < SMALL_LINES and len(used_by[module_name(path)]) == 1
    }
    assert small - SEAMS.keys() == set()


def test_every_seam_exists_and_they_are_few() -> None:
    assert SEAMS.keys() <= {module_name(path) for path in product_files()}
    assert len(SEAMS) <= MAX_SEAMS


def test_every_package_states_its_purpose_in_a_sentence() -> None:
    packages = [path for path in product_files() if path.name == "__init__.py"]
    purposes = {str(path.relative_to(ROOT)): ast.get_docstring(syntax_tree(path)) or "" for path in packages}
    assert {name for name, purpose in purposes.items() if not purpose.partition("\n")[0].endswith(".")} == set()
