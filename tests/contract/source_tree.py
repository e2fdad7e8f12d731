"""The files of this project, as the structural tests read them: sources, classes, imports."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

PRODUCT_ROOTS = ("runtime", "core", "registry", "store", "ingest", "trainer", "server", "clients/python", "cli")
SUPPORT_ROOTS = ("tests", "benchmarks", "tools")
GENERATED = ROOT / "proto" / "gen"
TEXT_SUFFIXES = {".py", ".md", ".proto", ".toml", ".yaml", ".txt"}
TEXT_ROOTS = (*PRODUCT_ROOTS, *SUPPORT_ROOTS, "proto", "docs", "onnx_models", ".ci")


def python_files(*roots: str) -> list[Path]:
    """Return the Python files below `roots`, without caches and generated code."""
    return [
        path
        for root in roots
        for path in sorted((ROOT / root).rglob("*.py"))
        if not path.is_relative_to(GENERATED) and not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]


def product_files() -> list[Path]:
    """Return the Python files that ship."""
    return python_files(*PRODUCT_ROOTS)


def text_files() -> list[Path]:
    """Return every file that a person reads: code, documents, contract, configuration."""
    top = [
        path for path in ROOT.iterdir() if path.is_file() and (path.suffix in TEXT_SUFFIXES or path.name == "Makefile")
    ]
    below = [
        path
        for root in TEXT_ROOTS
        for path in (ROOT / root).rglob("*")
        if path.is_file() and path.suffix in TEXT_SUFFIXES and not path.is_relative_to(GENERATED)
    ]
    return sorted({*top, *below})


@cache
def syntax_tree(path: Path) -> ast.Module:
    """Parse a file once."""
    return ast.parse(path.read_text())


def public_classes(path: Path) -> Iterator[str]:
    """Return the names of the classes at the top of a module that other modules may use."""
    for node in syntax_tree(path).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def module_name(path: Path) -> str:
    """Return the dotted name of a product file, `ondeck_core.features.pitch`."""
    parts = path.with_suffix("").parts
    start = next(number for number, part in enumerate(parts) if part.startswith("ondeck_"))
    named = parts[start:-1] if parts[-1] == "__init__" else parts[start:]
    return ".".join(named)


def importers() -> dict[str, set[str]]:
    """Return, for each product module, the product modules that import it."""
    files = {module_name(path): path for path in product_files()}
    found: dict[str, set[str]] = defaultdict(set)
    for name, path in files.items():
        for imported in _imported_names(syntax_tree(path)):
            target = imported if imported in files else imported.rpartition(".")[0]
            if target in files and target != name:
                found[target].add(name)
    return found


def _imported_names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def line_count(path: Path) -> int:
    """Count the lines of a file."""
    return len(path.read_text().splitlines())
