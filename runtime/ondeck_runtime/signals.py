"""Signals that ask a program to stop."""

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
T = TypeVar("T")


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


async def run_until_stopped(work: Coroutine[Any, Any, T]) -> T | None:
    """Run work until it ends, or cancel it on SIGTERM or SIGINT; returns its result, or None if it was stopped."""
    task = asyncio.ensure_future(work)
    on_stop_signal(task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return None
