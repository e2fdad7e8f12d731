"""Log files stay whole under several processes, are rotated, and have the program and the id of each line."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from ondeck_runtime.correlation import correlated
from ondeck_runtime.log_file import SharedLogFile, default_file, log_files
from ondeck_runtime.logging import configure_logging, set_log_level

PROCESSES = 4
LINES = 1500
WRITER = """
import sys
from pathlib import Path
from ondeck_runtime.log_file import SharedLogFile
file = SharedLogFile(Path(sys.argv[1]), max_bytes=300_000, older_files=50)
for number in range(int(sys.argv[3])):
    length = 20_000 if number % 500 == 7 else 100
    file.write_line(f"{sys.argv[2]} {number} " + sys.argv[2] * length + ".")
"""


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def lines_of(folder: Path) -> list[str]:
    return [line for path in log_files(folder) for line in path.read_text().splitlines()]


def test_processes_share_a_file_that_is_rotated_and_lose_and_mix_no_line(tmp_path: Path) -> None:
    path = tmp_path / "server.jsonl"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), letter, str(LINES)]) for letter in "abcd"[:PROCESSES]
    ]
    assert [writer.wait(120) for writer in writers] == [0] * PROCESSES
    lines = lines_of(tmp_path)
    assert len(list(log_files(tmp_path))) > 2
    assert Counter(line[0] for line in lines) == dict.fromkeys("abcd", LINES)
    for line in lines:
        letter, number, text = line.split(" ")
        assert text == letter * (20_000 if int(number) % 500 == 7 else 100) + "."


def test_the_files_are_bounded_in_number_and_size(tmp_path: Path) -> None:
    file = SharedLogFile(tmp_path / "cli.jsonl", max_bytes=1000, older_files=2)
    for number in range(200):
        file.write_line(f"{number:099d}")
    sizes = {path.name: path.stat().st_size for path in log_files(tmp_path)}
    assert sorted(sizes) == ["cli.jsonl", "cli.jsonl.1", "cli.jsonl.2"]
    assert max(sizes.values()) == 1000
    assert (tmp_path / "cli.jsonl").read_text().splitlines()[-1].endswith("199")


def test_a_file_that_was_removed_is_created_again(tmp_path: Path) -> None:
    file = SharedLogFile(tmp_path / "logs" / "cli.jsonl")
    file.write_line("one")
    (tmp_path / "logs" / "cli.jsonl").unlink()
    file.write_line("two")
    assert (tmp_path / "logs" / "cli.jsonl").read_text() == "two\n"


def test_a_file_that_cannot_be_written_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    file = SharedLogFile(tmp_path / "logs" / "cli.jsonl")
    for _ in range(3):
        file.write_line("lost")
    assert capsys.readouterr().err.count("cannot be written") == 1


def test_a_home_that_does_not_exist_gets_no_log(tmp_path: Path) -> None:
    assert default_file(tmp_path / "missing", "server") is None
    assert default_file(tmp_path, "server") == tmp_path / "logs" / "server.jsonl"


def test_each_line_has_the_program_and_within_a_run_the_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json", "ingest", tmp_path / "ingest.jsonl")
    log = structlog.get_logger()
    log.info("worker_started")
    with correlated("one"):
        log.warning("job_failed", url="postgresql://user:secret@host/name")
        log.info("request_failed", is_printed=False)
    log.debug("not_logged")
    printed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    stored = [json.loads(line) for line in (tmp_path / "ingest.jsonl").read_text().splitlines()]
    assert [each["event"] for each in printed] == ["worker_started", "job_failed"]
    assert [each["event"] for each in stored] == ["worker_started", "job_failed", "request_failed"]
    assert {each["program"] for each in printed + stored} == {"ingest"}
    assert [each.get("correlation_id") for each in stored] == [None, "one", "one"]
    assert "secret" not in str(printed + stored)
    assert all("is_printed" not in each for each in stored)


def test_an_error_is_stored_with_its_traceback(tmp_path: Path) -> None:
    configure_logging("info", "text", "server", tmp_path / "server.jsonl")
    structlog.get_logger().error("call_failed", exc_info=ValueError("broken"))
    (line,) = (tmp_path / "server.jsonl").read_text().splitlines()
    assert "ValueError: broken" in json.loads(line)["exception"]


def test_the_level_changes_at_run_time(tmp_path: Path) -> None:
    configure_logging("warning", "json", "server", tmp_path / "server.jsonl")
    log = structlog.get_logger()
    log.info("not_logged")
    set_log_level("debug")
    log.debug("logged_now")
    set_log_level("error")
    log.warning("not_logged")
    assert [json.loads(line)["event"] for line in lines_of(tmp_path)] == ["logged_now"]


def test_a_home_folder_that_cannot_be_reached_has_no_log_file(tmp_path: Path) -> None:
    assert default_file(tmp_path, "server") == tmp_path / "logs" / "server.jsonl"
    assert default_file(tmp_path / "absent", "server") is None
    assert default_file(Path("/", "too-long" * 1000), "server") is None
