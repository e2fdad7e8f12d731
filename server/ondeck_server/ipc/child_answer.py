"""The end of a child of the supervisor that answers one request: its input is the request, its output the answer."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, TypeVar

from pydantic import BaseModel

from ondeck_server.ipc.messages import DashboardRequest, PlayersRequest

_SPARE_SECONDS: Final = 30  # the process ends itself this long after the supervisor should have ended it
_NICENESS: Final = 10

Request = TypeVar("Request", DashboardRequest, PlayersRequest)


def answer_request(kind: type[Request], read: Callable[[Request], Awaitable[BaseModel]]) -> None:
    """Write what `read` returns for the request of the input; on SIGTERM `read` is cancelled, and nothing is written.

    So it leaves the database in order first, whose server may be shared.
    """
    os.nice(_NICENESS)
    results = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no result
    request = kind.model_validate_json(sys.stdin.buffer.read())
    signal.alarm(request.seconds + _SPARE_SECONDS)
    with suppress(asyncio.CancelledError), open(results, "wb") as output:  # noqa: PTH123  a descriptor
        output.write(asyncio.run(_read_until_stopped(read(request))).model_dump_json().encode())


async def _read_until_stopped(reading: Awaitable[BaseModel]) -> BaseModel:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  it is this coroutine
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await reading
