"""How every program that is started here writes its log: to standard error, for people or for machines."""

import logging
import os
import sys
from typing import Final

import structlog

from ondeck_core.errors import OndeckError

LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure_logs() -> None:
    """Write readable lines to a terminal and JSON elsewhere, from ONDECK_LOG_LEVEL (default: info) upwards.

    Raises:
        OndeckError: ONDECK_LOG_LEVEL is none of the levels.
    """
    level = os.environ.get("ONDECK_LOG_LEVEL", "info").lower()
    if level not in LEVELS:
        raise OndeckError(f"ONDECK_LOG_LEVEL={level}: should be one of {', '.join(LEVELS)}")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_rendering(people=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )


def _rendering(*, people: bool) -> list[structlog.typing.Processor]:
    if people:
        return [structlog.dev.ConsoleRenderer()]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
