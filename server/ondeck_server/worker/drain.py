"""The drain of a worker that is replaced: stop accepting, then wait until its clients have disconnected.

The stop of grpcio cancels calls that arrive on a connection before its client has read GOAWAY: one or two calls of each
busy connection. A connection that reaches its maximum age gets GOAWAY first, and calls that arrive until the client has
read it are still served. So a worker that is replaced stops accepting and waits for that before it stops.
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
