"""The way out of a worker: no new connection comes in, and those that there are leave by themselves.

grpcio's own stop cancels whatever reaches it on a connection whose client has not yet read that the server goes away:
a call or two of each busy connection. A connection that has come of age is let go without that: its client is told
first, and what it sends until it has read so is still answered. So a worker that others replace shuts its door and
waits for that before it stops.
"""

import asyncio
from collections.abc import Callable
from typing import Final

_LOOK_EVERY: Final = 0.1
_JITTER: Final = 1.1  # grpcio lets a connection live up to a tenth longer than its age


def drain_timeout(max_connection_age_seconds: float) -> float:
    """Tell how many seconds it takes until every connection has come of age; 0 where none ever does."""
    return max_connection_age_seconds * _JITTER + 1 if max_connection_age_seconds else 0.0


async def wait_disconnected(connected: Callable[[], bool]) -> None:
    """Wait until nobody is connected."""
    while connected():  # noqa: ASYNC110  grpcio tells nobody when a connection ends
        await asyncio.sleep(_LOOK_EVERY)
