"""Every error class that a docstring names exists."""

import ast
import builtins
import re
import subprocess
from pathlib import Path


def product_trees(root: Path) -> dict[str, ast.Module]:
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=root, capture_output=True, text=True, check=True).stdout
    names = [name for name in listed.split() if "/gen/" not in name and not name.startswith("tests/")]
    return {name: ast.parse((root / name).read_text()) for name in names}


def names_of(trees: dict[str, ast.Module]) -> set[str]:
    nodes = [node for tree in trees.values() for node in ast.walk(tree)]
    classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    imported = {each.name for node in nodes if isinstance(node, ast.ImportFrom) for each in node.names}
    return classes | imported | set(dir(builtins))


def documented_errors(tree: ast.Module) -> set[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
    return {name for text in texts for name in re.findall(r"(?<![\w.])[A-Z]\w*Error\b", text)}


def test_every_error_that_a_docstring_names_exists(root: Path) -> None:
    trees = product_trees(root)
    known = names_of(trees) | {"RpcError"}  # of grpc, which callers of the client catch
    documented = {name: documented_errors(tree) for name, tree in trees.items()}
    assert sum(map(len, documented.values())) > 100
    assert {name: sorted(errors - known) for name, errors in documented.items() if errors - known} == {}
