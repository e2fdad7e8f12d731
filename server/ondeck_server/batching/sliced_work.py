"""Work on the rows of a large call, in slices: one slice for each turn of the event loop, in all calls together.

Python code and protobuf hold the interpreter lock, so a thread would delay the loop for longer than one slice does.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

SLICE_ROWS: Final = 4096  # decoded, validated or encoded in 1 to 2 ms

T = TypeVar("T")


class SlicedWork:
    """The sliced work of one event loop; the slices of concurrent calls alternate."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, rows: int, work: Callable[[slice], T]) -> list[T]:
        """Return what `work` returns for each slice of `rows` rows; up to `SLICE_ROWS` rows are one slice, at once."""
        if rows <= SLICE_ROWS:
            return [work(slice(0, rows))]
        results = []
        for start in range(0, rows, SLICE_ROWS):
            async with self._turn:
                results.append(work(slice(start, min(start + SLICE_ROWS, rows))))
                await asyncio.sleep(0)  # within the lock: the turn of the loop ends before the next slice
        return results
