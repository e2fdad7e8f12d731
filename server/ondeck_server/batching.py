"""Concurrent callers share one run: whatever came in during one turn of the event loop goes through the graph at once.

Nobody waits for company: a run starts as soon as the loop comes round. A caller who has gone away by then is left out.
"""

import asyncio
from dataclasses import dataclass

import numpy as np

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix
from ondeck_server.models.loaded import LoadedVersion
from ondeck_server.settings import ROWS_A_RUN


class QueueFullError(OndeckError):
    """So many rows wait already that these would wait too long."""


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    instances: Matrix
    answer: asyncio.Future[Matrix]


class Batcher:
    """Shares the runs of one version among its callers, on the event loop that it is used on."""

    def __init__(self, version: LoadedVersion, max_waiting_rows: int) -> None:
        self._version = version
        self._limit = max_waiting_rows
        self._waiting: list[_Waiting] = []
        self._waiting_rows = 0
        self._scheduled = False

    def submit(self, instances: Matrix) -> asyncio.Future[Matrix]:
        """Have instances of shape (n, fields) answered, n at most ROWS_A_RUN; gives what the version answers.

        Raises:
            QueueFullError: too many rows wait already.
        """
        if self._waiting_rows + len(instances) > self._limit:
            raise QueueFullError(f"{self._waiting_rows} rows wait already, {self._limit} may; try again shortly")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Matrix] = loop.create_future()
        self._waiting.append(_Waiting(instances=instances, answer=answer))
        self._waiting_rows += len(instances)
        self._schedule(loop)
        return answer

    async def answer(self, instances: Matrix) -> Matrix:
        """Have any number of instances answered, a run at a time, so that others get their turn in between."""
        chunks = [instances[at : at + ROWS_A_RUN] for at in range(0, len(instances), ROWS_A_RUN)]
        if len(chunks) == 1:
            return await self.submit(instances)
        return np.vstack([await self.submit(chunk) for chunk in chunks])

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        batch = self._take()
        if self._waiting:
            self._schedule(asyncio.get_running_loop())
        present = [each for each in batch if not each.answer.done()]
        if not present:
            return
        try:
            answers = self._version.answer(np.concatenate([each.instances for each in present]))
        except Exception as broken:  # noqa: BLE001  whatever it is, each caller is told, and the loop goes on
            for each in present:
                each.answer.set_exception(broken)
            return
        at = 0
        for each in present:
            each.answer.set_result(answers[at : at + len(each.instances)])
            at += len(each.instances)

    def _take(self) -> list[_Waiting]:
        rows, count = 0, 0
        for each in self._waiting:
            if count and rows + len(each.instances) > ROWS_A_RUN:
                break
            rows, count = rows + len(each.instances), count + 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        self._waiting_rows -= rows
        return batch
