"""The process that reads a view of the dashboard from the database or the repository, so that no other process blocks.

`python -m ondeck_server.dashboard.reader` reads a `DashboardRequest` from its input, writes a `DashboardResult` and
exits.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondeck_core.errors import printable, without_folders
from ondeck_server.dashboard.trends import TrendPoint
from ondeck_server.ipc.child_answer import answer_request
from ondeck_server.ipc.messages import DashboardRequest, DashboardResult
from ondeck_store.settings import StoreSettings

if TYPE_CHECKING:
    from ondeck_store.connection import Connection


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
    from ondeck_store.connection import connect_migrated  # noqa: PLC0415  as above

    async with connect_migrated(StoreSettings.model_validate(request.settings)) as connection:
        return await _read_database(connection, request.view, parameters)


async def _read_database(connection: "Connection", view: str, parameters: dict[str, Any]) -> dict[str, Any]:
    now = datetime.now(UTC)
    if view == "data":
        from ondeck_server.dashboard.data_view import read_data  # noqa: PLC0415  not needed for the others

        return await read_data(connection, now.date())
    if view == "scores":
        from ondeck_server.dashboard.score_view import read_scores  # noqa: PLC0415  as above

        return await read_scores(connection, now.date())
    from ondeck_server.dashboard.trend_store import read_trends, store_trends  # noqa: PLC0415  as above

    if view == "history":
        return await read_trends(connection, int(parameters["days"]), now)
    points = [TrendPoint(**each) for each in parameters["points"]]
    await store_trends(connection, str(parameters["server"]), points, now)
    return {"stored": len(points)}


if __name__ == "__main__":
    answer_request(DashboardRequest, read_view)
