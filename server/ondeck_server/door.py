"""The way out of a worker: no new connection comes in, and those that there are leave by themselves.

grpcio's own stop cancels whatever reaches it on a connection whose client has not yet read that the server goes away:
a call or two of each busy connection. A connection that has come of age is let go without that: its client is told
first, and what it sends until it has read so is still answered. So a worker that others replace shuts its door and
waits for that before it stops.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_LOOK_EVERY: Final = 0.1
_JITTER: Final = 1.1  # grpcio lets a connection live up to a tenth longer than its age
_OPEN_FILES: Final = Path("/proc/self/fd")


def patience(connection_age_seconds: float) -> float:
    """Tell how many seconds it takes until every connection has come of age; 0 where none ever does."""
    return connection_age_seconds * _JITTER + 1 if connection_age_seconds else 0.0


def shut(port: int) -> None:
    """Listen on a port no more, in this process; its connections stay. grpcio logs a failed accept4 of it, once."""
    for listener in _listeners(port):
        with listener, suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


async def all_left(connected: Callable[[], bool]) -> None:
    """Wait until nobody is connected."""
    while connected():  # noqa: ASYNC110  grpcio tells nobody when a connection ends
        await asyncio.sleep(_LOOK_EVERY)


def _listeners(port: int) -> Iterator[socket.socket]:
    for name in os.listdir(_OPEN_FILES) if _OPEN_FILES.exists() else ():  # noqa: PTH208  only the numbers are of use
        with suppress(OSError):
            found = socket.socket(fileno=os.dup(int(name)))
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port:
                yield found
            else:
                found.close()
