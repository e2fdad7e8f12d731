"""How every program that is started here writes its log: to standard error, for people or for machines."""

import logging
import os
import sys
from typing import Final

import structlog

from ondeck_core.errors import OndeckError

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
FORMATS: Final = ("text", "json")


def configure_logs() -> None:
    """Write from ONDECK_LOG_LEVEL (default: info) upwards, as ONDECK_LOG_FORMAT says (text on a terminal, else json).

    Raises:
        OndeckError: either is none of what it may be.
    """
    level = os.environ.get("ONDECK_LOG_LEVEL", "info").lower()
    if level not in LEVELS:
        raise OndeckError(f"ONDECK_LOG_LEVEL={level}: should be one of {', '.join(LEVELS)}")
    form = os.environ.get("ONDECK_LOG_FORMAT") or ("text" if sys.stderr.isatty() else "json")
    if form not in FORMATS:
        raise OndeckError(f"ONDECK_LOG_FORMAT={form}: should be one of {', '.join(FORMATS)}")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(form),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _rendering(form: str) -> list[structlog.typing.Processor]:
    if form == "text":
        return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
