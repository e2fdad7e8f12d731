"""Configuration of the log of every program: to standard error, as text or JSON."""

import logging
import sys
import traceback
from contextlib import suppress
from typing import Final, TextIO, cast

from ondeck_runtime.redaction import redact

# Absent for structlog, which would import it, in 50 ms, for the tracebacks that are written here.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # Python's own way to say that a module is absent

import structlog  # noqa: E402  after the line above

if sys.modules.get("rich") is None:
    del sys.modules["rich"]

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("text", "json")


class _Quoted:
    """A text that the console renderer writes as a literal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def printable(text: str) -> str:
    """Return a text from a caller, a file or a folder with its control characters escaped, line breaks included."""
    return text if text.isprintable() else repr(text)[1:-1]


def configure_logging(level: str, form: str) -> None:
    """Log events of `level` and above, as readable lines (`text`) or one JSON object per line (`json`)."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _TolerantStream(sys.stderr))),
    )


def _renderers(form: str) -> list[structlog.typing.Processor]:
    if form == "text":
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_exception)
        return [_redact, _quote_unprintable, console]
    return [structlog.processors.format_exc_info, _redact, structlog.processors.JSONRenderer()]


def _redact(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _quote_unprintable(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Escape control characters: values come from callers and folders, and must forge no line and no colour."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = _Quoted(value)
    return event


def _write_exception(stream: TextIO, error: structlog.typing.ExcInfo) -> None:
    """Write a traceback, indented and escaped, as no part of it may look like a line of the log."""
    lines = redact("".join(traceback.format_exception(*error))).split("\n")
    stream.writelines(f"\n    {printable(line)}" for line in lines if line)


class _TolerantStream:
    """Drops what cannot be written, since the disk is full or the reader is gone: a log ends no program."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # ValueError: the stream is closed
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()
