"""Configuration of the log of every program: to standard error, as text or JSON, and to a file as JSON lines.

Each line has the program; within a call, a job or a run it has the correlation id.
"""

import asyncio
import logging
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TextIO, cast

from ondeck_runtime.correlation import current_correlation_id
from ondeck_runtime.log_file import SharedLogFile
from ondeck_runtime.redaction import redact

# Absent for structlog, which would import it, in 50 ms, for the tracebacks that are written here.
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # Python's own way to say that a module is absent

import structlog  # noqa: E402  after the line above
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger  # noqa: E402  as above

if sys.modules.get("rich") is None:
    del sys.modules["rich"]

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("text", "json")
_PRINTED: Final = "is_printed"
_LEVEL_POLL_SECONDS: Final = 1.0


class _Quoted:
    """A text that the console renderer writes as a literal."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return repr(self._text)


def printable(text: str) -> str:
    """Return a text from a caller, a file or a folder with its control characters escaped, line breaks included."""
    return text if text.isprintable() else repr(text)[1:-1]


def configure_logging(level: str, form: str, program: str = "", file: Path | None = None) -> None:
    """Log events of `level` and above, as readable lines (`text`) or one JSON object per line (`json`).

    The lines also go to `file`, as JSON. An event with `is_printed=False` goes there alone.
    """

    def add_origin(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        if program:
            event["program"] = program
        if correlation_id := current_correlation_id():
            event.setdefault("correlation_id", correlation_id)
        return event

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            add_origin,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if file is None else [_FileSink(SharedLogFile(file))]),
            _drop_unprinted,
            *_renderers(form),
        ],
        logger_factory=structlog.WriteLoggerFactory(cast("TextIO", _TolerantStream(sys.stderr))),
    )
    set_log_level(level)


def set_log_level(level: str) -> None:
    """Log events of `level` and above from now on, in this process."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]))


def level_file(home: Path, program: str) -> Path:
    """Return the file in a home folder that `follow_level_file` reads."""
    return home / f"{program}.log-level"


async def follow_level_file(path: Path) -> None:
    """Set the log level that a file names whenever the file changes, until cancelled; not the level it has now."""
    last = _read_level(path)
    while True:
        await asyncio.sleep(_LEVEL_POLL_SECONDS)
        if (current := _read_level(path)) != last:
            last = current
            if current is not None and (level := current[1]) in LEVELS:
                set_log_level(level)


def _read_level(path: Path) -> tuple[int, str] | None:
    """Return the time of the last change of a file, in nanoseconds, and its text; None: it cannot be read."""
    try:
        return path.stat().st_mtime_ns, path.read_text().strip().lower()
    except (OSError, ValueError):  # ValueError: it is no text
        return None


class _FileSink:
    """Appends each event to a file as JSON, and passes it on."""

    def __init__(self, file: SharedLogFile) -> None:
        self._file = file
        self._processors: list[Processor] = [
            structlog.processors.format_exc_info,
            _redact,
            structlog.processors.JSONRenderer(),
        ]

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        line: Any = {key: value for key, value in event.items() if key != _PRINTED}
        for process in self._processors:
            line = process(logger, name, line)
        self._file.write_line(line)
        return event


def _drop_unprinted(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if not event.pop(_PRINTED, True):
        raise structlog.DropEvent
    return event


def _renderers(form: str) -> list[Processor]:
    if form == "text":
        console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_write_exception)
        return [_redact, _quote_unprintable, console]
    return [structlog.processors.format_exc_info, _redact, structlog.processors.JSONRenderer()]


def _redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    return {key: redact(value) if isinstance(value, str) else value for key, value in event.items()}


def _quote_unprintable(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters: values come from callers and folders, and must forge no line and no colour."""
    for key, value in event.items():
        if isinstance(value, str) and not value.isprintable():
            event[key] = _Quoted(value)
    return event


def _write_exception(stream: TextIO, error: ExcInfo) -> None:
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
