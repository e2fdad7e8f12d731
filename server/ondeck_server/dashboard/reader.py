"""The process that reads a view of the dashboard from the database or the repository, so that no other process blocks.

`python -m ondeck_server.dashboard.reader` reads a `DashboardRequest` from its input, writes a `DashboardResult` and
exits.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ondeck_core.errors import printable, without_folders
from ondeck_server.ipc.messages import DashboardRequest, DashboardResult
from ondeck_store.settings import StoreSettings

_SPARE_SECONDS: Final = 30  # this process ends itself this long after the supervisor should have ended it
_NICENESS: Final = 10


async def read_view(request: DashboardRequest) -> DashboardResult:
    """Read the view of the request."""
    try:
        return DashboardResult(values=await _read(request))
    except Exception as failed:  # noqa: BLE001  of the database, its server, the disk or the memory
        reason = next(iter(str(failed).splitlines()), type(failed).__name__)
        return DashboardResult(failed=printable(without_folders(reason)))


async def _read(request: DashboardRequest) -> dict[str, Any]:
    """Read a view; each imports only what it needs, since this process is started for each read."""
    parameters: dict[str, Any] = dict(request.parameters)
    if request.view == "models":
        from ondeck_server.dashboard.model_view import read_models  # noqa: PLC0415  not needed for the database

        versions = [(str(model), int(number)) for model, number in parameters["versions"]]
        return await asyncio.to_thread(read_models, Path(parameters["repository"]), versions)
    from ondeck_server.dashboard.data_view import read_data  # noqa: PLC0415  not needed for the repository
    from ondeck_store.connection import connect_migrated  # noqa: PLC0415  as above

    settings = StoreSettings.model_validate(request.settings)
    async with connect_migrated(settings) as connection:
        return await read_data(connection, datetime.now(UTC).date())


async def _read_until_stopped(request: DashboardRequest) -> DashboardResult:
    """Read the view; on SIGTERM leave the database in order first, whose server may be shared."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  it is this coroutine
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await read_view(request)


def main() -> None:
    """Answer the request of the input."""
    os.nice(_NICENESS)
    results = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no result
    request = DashboardRequest.model_validate_json(sys.stdin.buffer.read())
    signal.alarm(request.seconds + _SPARE_SECONDS)
    with suppress(asyncio.CancelledError), open(results, "wb") as output:  # noqa: PTH123  a descriptor
        output.write(asyncio.run(_read_until_stopped(request)).model_dump_json().encode())


if __name__ == "__main__":
    main()
