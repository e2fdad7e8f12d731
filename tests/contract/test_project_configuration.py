"""Import contracts, Makefile, constraints and ignored lints follow the project's rules."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

Project = dict[str, Any]


@pytest.fixture(scope="module")
def project(root: Path) -> Project:
    return tomllib.loads((root / "pyproject.toml").read_text())


def manifests(root: Path) -> list[Path]:
    return sorted([*root.glob("*/pyproject.toml"), *root.glob("clients/*/pyproject.toml")])


def import_packages(manifest: Path) -> list[str]:
    wheel = tomllib.loads(manifest.read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    return [Path(folder).name for folder in wheel["packages"]]


def test_the_import_rule_knows_every_package_that_ships(root: Path, project: Project) -> None:
    shipped = {package for manifest in manifests(root) for package in import_packages(manifest)}
    assert set(project["tool"]["importlinter"]["root_packages"]) == shipped


def test_the_layers_of_each_package_are_exhaustive(project: Project) -> None:
    contracts = project["tool"]["importlinter"]["contracts"]
    ruled = {name for contract in contracts if contract.get("exhaustive") for name in contract["containers"]}
    assert ruled == set(project["tool"]["importlinter"]["root_packages"]) - {"inference", "ondeck"}


def test_make_without_a_target_lists_every_target(root: Path) -> None:
    makefile = (root / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None
    printed = subprocess.run(["make"], cwd=root, capture_output=True, text=True, check=True).stdout
    lines = dict(re.findall(r"^  make (\w+) +(\S.*)$", printed, re.MULTILINE))
    assert set(lines) == set(phony.group(1).split())
    assert {"run", "test", "check", "gen", "train", "bench", "setup"} <= set(lines)


def test_constraints_are_exact_versions_without_urls(root: Path) -> None:
    lines = [line for line in (root / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_]+", line)] == []


def test_every_dependency_is_pinned(root: Path, project: Project) -> None:
    pins = {
        re.split("==", line)[0].lower().replace("_", "-")
        for line in (root / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    requirements = [*project["dependency-groups"]["dev"]]
    for manifest in manifests(root):
        requirements += tomllib.loads(manifest.read_text())["project"]["dependencies"]
    names = {re.split(r"[^A-Za-z0-9._-]", line)[0].lower().replace("_", "-") for line in requirements}
    assert {name for name in names if not name.startswith("ondeck-")} - pins == set()


def test_every_ignored_lint_has_a_reason_beside_it(root: Path) -> None:
    section = (root / "pyproject.toml").read_text().split("[tool.ruff.lint]")[1].split("[tool.ruff.lint.pydocstyle]")[0]
    unexplained = [line for line in section.splitlines() if re.match(r'\s+"[A-Z]+\d*"', line) and "#" not in line]
    assert unexplained == []


def test_every_noqa_in_the_code_has_a_reason_beside_it(root: Path) -> None:
    unexplained = [
        f"{path.relative_to(root)}:{number}"
        for manifest in manifests(root)
        for path in manifest.parent.rglob("*.py")
        if "gen" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*(noqa(: [A-Z0-9, ]+)?|type: ignore(\[[^\]]+\])?)\s*$", line)
    ]
    assert unexplained == []
