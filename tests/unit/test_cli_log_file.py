"""Which log file a command writes: the named one, else that of its program in the home folder; and command names."""

from pathlib import Path

import click
import pytest

from ondeck_cli.main import PROGRAMS, log_file_of, ondeck
from ondeck_cli.trace import find_events


@pytest.mark.parametrize("words", [["worker", "--home", "{home}"], ["worker", "--home={home}", "--json"]])
def test_the_home_of_the_command_line_has_the_log(tmp_path: Path, words: list[str]) -> None:
    given = [word.format(home=tmp_path) for word in words]
    assert log_file_of("ingest", given, {"ONDECK_HOME": "/other"}) == tmp_path / "logs" / "ingest.jsonl"


def test_the_home_of_the_environment_has_the_log(tmp_path: Path) -> None:
    assert log_file_of("cli", ["batted-ball"], {"ONDECK_HOME": str(tmp_path)}) == tmp_path / "logs" / "cli.jsonl"
    assert log_file_of("cli", [], {"ONDECK_HOME": str(tmp_path / "missing")}) is None


def test_a_named_file_takes_precedence(tmp_path: Path) -> None:
    words = ["--home", str(tmp_path)]
    assert log_file_of("server", words, {"ONDECK_LOG_FILE": "/var/log/ondeck.jsonl"}) == Path("/var/log/ondeck.jsonl")
    assert log_file_of("server", words, {"ONDECK_LOG_FILE": "none"}) is None


def test_commands_are_listed_as_the_documents_write_them() -> None:
    assert all("_" not in name for name in ondeck.list_commands(click.Context(ondeck)))
    assert ondeck.get_command(click.Context(ondeck), "log-level") is not None
    assert ondeck.get_command(click.Context(ondeck), "log_level") is not None


def test_scores_of_served_predictions_are_in_the_log_of_the_trainer() -> None:
    assert PROGRAMS["served"] == PROGRAMS["train"]


def test_a_log_file_that_is_replaced_meanwhile_hides_no_others(tmp_path: Path) -> None:
    (tmp_path / "ingest.jsonl").symlink_to(tmp_path / "gone")
    (tmp_path / "server.jsonl").write_text('{"correlation_id": "one", "event": "call_failed"}\n')
    assert [event["event"] for event in find_events(tmp_path, "one")] == ["call_failed"]
