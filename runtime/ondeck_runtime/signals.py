"""Signals that ask a program to stop."""

import asyncio
import signal
from collections.abc import Callable
from typing import Final

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def on_stop_signal(callback: Callable[[], object]) -> None:
    """Call `callback` in the running event loop on SIGTERM and SIGINT, instead of their default actions."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, callback)


def stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stop = asyncio.Event()
    on_stop_signal(stop.set)
    return stop
