"""The listening sockets of grpcio, which has no call to close them while its connections stay open."""

import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

_OPEN_FILES: Final = Path("/proc/self/fd")


def shut(port: int) -> None:
    """Listen on a port no more, in this process; its connections stay. grpcio logs a failed accept4 of it, once."""
    for listener in _listeners(port):
        with listener, suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)


def _listeners(port: int) -> Iterator[socket.socket]:
    for name in os.listdir(_OPEN_FILES) if _OPEN_FILES.exists() else ():  # noqa: PTH208  only the numbers are of use
        with suppress(OSError):
            found = socket.socket(fileno=os.dup(int(name)))
            if found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and found.getsockname()[1] == port:
                yield found
            else:
                found.close()
