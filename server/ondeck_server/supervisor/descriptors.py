"""File descriptors in reserve, for what must not fail when the rest is in use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

RESERVED: Final = 16  # starting a worker opens ten


class DescriptorReserve:
    """Open descriptors that are closed while something needs them, and opened again afterwards."""

    def __init__(self, count: int = RESERVED) -> None:
        self._count = count
        self._held: list[int] = []
        self._users = 0
        self.fill()

    def fill(self) -> None:
        """Open what is missing in the reserve, unless it is in use, as far as the limit allows."""
        while not self._users and len(self._held) < self._count:
            try:
                self._held.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return

    @contextmanager
    def released(self) -> Iterator[None]:
        """Make the reserve available within the block."""
        self._users += 1
        while self._held:
            os.close(self._held.pop())
        try:
            yield
        finally:
            self._users -= 1
            self.fill()
