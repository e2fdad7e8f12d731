"""Every example of the README runs and prints what the README shows."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.conftest import ROOT
from tests.factories.statcast_rows import as_csv, sample_cells
from tests.fixtures.savant import FakeSavant, Reply
from tests.fixtures.server import RunningServer, serving

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
SHOWN_PORT = "127.0.0.1:50051"
ONDECK = ".venv/bin/ondeck"
MISSING = 3  # without a register


@dataclass(frozen=True, kw_only=True)
class Example:
    """A fenced block: its language, its content, and the output shown after it."""

    page: str
    line: int
    language: str
    content: str
    output: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def examples() -> Iterator[Example]:
    for page in PAGES:
        fences = [token for token in MarkdownIt().parse(page.read_text()) if token.type == "fence"]
        for token, following in zip(fences, [*fences[1:], None], strict=False):
            output = following.content if following is not None and following.info == "text" else None
            line = (token.map or [0])[0] + 1
            yield Example(page=page.name, line=line, language=token.info, content=token.content, output=output)


def shown(language: str) -> list[Example]:
    return [each for each in examples() if each.language == language]


@pytest.fixture(scope="module")
def server(root: Path) -> Iterator[RunningServer]:
    with serving(root / "onnx_models") as running:
        yield running


@pytest.fixture
def environment(server: RunningServer, savant: FakeSavant, store_home: Path) -> dict[str, str]:
    savant.replies = {date(2024, 6, 1): Reply(body=b""), date(2024, 6, 2): Reply(body=b"")}
    for day in savant.replies:
        savant.replies[day] = Reply(body=as_csv(sample_cells(day, days=1)))
    return {
        **os.environ,
        "ONDECK_PORT": server.target.rpartition(":")[2],
        "ONDECK_SAVANT_URL": savant.url,
        "ONDECK_HOME": str(store_home),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cells = sample_cells(date(2024, 6, 3), days=1)
    (tmp_path / "june.csv").write_bytes(as_csv(cells))
    subprocess.run(["gzip", "--keep", "june.csv"], cwd=tmp_path, check=True)
    shutil.copytree(ROOT / "onnx_models", tmp_path / "onnx_models")
    cells.write_parquet(tmp_path / "june.parquet")
    return tmp_path


def commands(content: str) -> list[tuple[str, str]]:
    """Split a block of `$ command` lines, each followed by what it prints, if that is shown."""
    parts = re.split(r"^\$ ", content.replace("\\\n", ""), flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def run(command: str, folder: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    words = shlex.split(command)
    assert words[0] == ONDECK, command
    words[:1] = [sys.executable, "-m", "ondeck_cli"]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("example", shown("console"), ids=str)
def test_a_command_prints_what_is_shown(example: Example, folder: Path, environment: dict[str, str]) -> None:
    for command, output in commands(example.content):
        done = run(command, folder, environment)
        assert done.returncode == (MISSING if " players resolve " in command else 0), done.stderr
        assert output.strip() in ("", done.stdout.strip()), done.stdout


@pytest.mark.parametrize("example", shown("python"), ids=str)
def test_a_program_prints_what_is_shown(example: Example, tmp_path: Path, server: RunningServer) -> None:
    script = tmp_path / "example.py"
    script.write_text(example.content.replace(SHOWN_PORT, server.target))
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert example.output is None or done.stdout == example.output


PROBES = [each for each in shown("sh") if each.content.split()[0] in {"grpcurl", "grpc_health_probe"}]


@pytest.mark.parametrize("example", PROBES, ids=str)
def test_a_third_party_tool_gets_a_response(example: Example, tmp_path: Path, server: RunningServer) -> None:
    words = shlex.split(example.content.replace("\\\n", "").replace(SHOWN_PORT, server.target))
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed here")
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_every_make_target_in_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        named = set(re.findall(r"^make (\w+)|`make (\w+)`", page.read_text(), re.MULTILINE))
        assert {first or second for first, second in named} <= targets


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "docs").rglob("*.md")), ROOT / "CONTRIBUTING.md"], ids=lambda p: p.name
)
def test_every_relative_link_in_the_readme_resolves(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_readme_starts_with_one_command_one_request_and_its_response() -> None:
    first, second = list(examples())[:2]
    assert first.content == "make run\n"
    assert second.content.startswith(f"$ {ONDECK} predict ")
    assert len(commands(second.content)) == 1
