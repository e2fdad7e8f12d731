"""Configuration of the log of every program: to standard error, as text or JSON."""

import logging
import sys
from contextlib import suppress
from typing import Final, TextIO, cast

import structlog

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("text", "json")


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
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


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
