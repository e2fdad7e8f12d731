"""The text log escapes what callers and folders supply."""

from collections.abc import Iterator

import pytest
import structlog

from ondeck_runtime.logging import configure_logging

HOSTILE = "a\x1b[31mred\n2026-01-01T00:00:00Z [error] forged\r\x00\x9b\u2028\u202e"


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_value_stays_on_its_line_and_free_of_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "text")
    structlog.get_logger().info("alias_updated", alias=HOSTILE, short="a\x1b[31m", names=[HOSTILE], good="plain")
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert text.removesuffix("\n").isprintable()
    assert "good=plain" in text
    assert r"\x1b[31mred\n2026" in text


@pytest.mark.parametrize("cause", [None, OSError(HOSTILE)])
def test_a_traceback_contains_no_line_that_looks_like_an_event(
    capsys: pytest.CaptureFixture[str], cause: OSError | None
) -> None:
    configure_logging("info", "text")
    error = ValueError(HOSTILE)
    error.__cause__ = cause
    structlog.get_logger().error("call_failed", exc_info=error)
    lines = capsys.readouterr().err.splitlines()
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if not line.startswith("    ")] == [lines[0]]
    assert any("ValueError: a" in line for line in lines)


def test_a_json_line_stays_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("alias_updated", alias=HOSTILE)
    assert capsys.readouterr().err.count("\n") == 1
