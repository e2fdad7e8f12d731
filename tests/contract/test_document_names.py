"""Names in the documents exist: modules, test files, settings, and classes or messages."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

from tests.contract.source_tree import product_files
from tools.fill_document_tables import LOG_SETTINGS, PROGRAMS, ROOT, documents

CODE = re.compile(r"`([^`\n]+)`")
MODULE = re.compile(r"(?:ondeck_[a-z]+|benchmarks|tools)(?:\.\w+)*")
SOURCE_PATH = re.compile(r"[\w/.-]+\.(?:py|proto)")
SETTING = re.compile(r"ONDECK_[A-Z_]+")
CLASS = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
# Names of Kubernetes, gRPC and other projects.
FOREIGN = {"BadRequest", "ErrorInfo", "KillMode", "QuotaFailure", "ResourceInfo", "RetryInfo"}
UNTYPED_SETTINGS = {"ONDECK_REAL_DATA", *(name for name, *_ in LOG_SETTINGS)}


def code_of(text: str) -> set[str]:
    """Return the inline code of a page."""
    return set(CODE.findall(re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)))


def module_exists(name: str) -> bool:
    """Return whether a dotted name is a module, or a name that a module defines."""
    package, _, last = name.rpartition(".")
    try:
        if importlib.util.find_spec(name) is not None:
            return True
    except ModuleNotFoundError:
        pass
    return bool(package) and module_exists(package) and hasattr(importlib.import_module(package), last)


@pytest.fixture(scope="module")
def source() -> str:
    """The product's source and contract as one text."""
    files = [*product_files(), *(ROOT / "proto").rglob("*.proto")]
    return "\n".join(path.read_text() for path in files)


def unknown_names(text: str, source: str) -> set[str]:
    """Return the names in a page's inline code that look like the project's and are not."""
    code = code_of(text)
    settings = {f"ONDECK_{name.upper()}" for kind in PROGRAMS.values() for name in kind.model_fields}
    modules = {name for name in code if MODULE.fullmatch(name) and "." in name}
    paths = {name for name in code if SOURCE_PATH.fullmatch(name) and "/" in name}
    classes = {name for name in code if CLASS.fullmatch(name)} - FOREIGN
    return {
        *(name for name in modules if not module_exists(name)),
        *(name for name in paths if not (ROOT / name).exists()),
        *({name for each in code for name in SETTING.findall(each)} - settings - UNTYPED_SETTINGS),
        *(name for name in classes if not re.search(rf"\b{name}\b", source)),
    }


@pytest.mark.parametrize("page", documents(), ids=lambda page: str(page.relative_to(ROOT)))
def test_names_in_a_document_exist(page: Path, source: str) -> None:
    assert unknown_names(page.read_text(), source) == set()


def test_an_unknown_name_is_found(source: str) -> None:
    known = "`ondeck_core.errors.OndeckError` `tests/conftest.py` `ONDECK_PORT` `ModelManager` `KillMode=mixed`"
    assert unknown_names(known, source) == set()
    unknown = ["ondeck_core.no_such", "tests/no_such.py", "ONDECK_NO_SUCH", "NoSuchManager"]
    assert unknown_names(" ".join(f"`{name}`" for name in unknown), source) == set(unknown)
