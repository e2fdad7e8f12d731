"""The views of the dashboard that another process reads: from a real database, and from the repository."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import text

from ondeck_server.dashboard.reader import read_view
from ondeck_server.dashboard.trends import TrendPoint
from ondeck_server.ipc.messages import DashboardRequest, DashboardResult
from ondeck_store.database import Database
from ondeck_store.settings import StoreSettings
from tests.fixtures.dashboard import fill_database, wait_for
from tests.fixtures.dashboard import read_view as request_view
from tests.fixtures.server import RunningServer, serving


@pytest.fixture
async def stored(database: Database, store_home: Path) -> Path:
    async with database.engine.begin() as connection:
        await fill_database(connection)
    return store_home


def data_request(home: Path) -> DashboardRequest:
    settings = StoreSettings(home=home).model_dump(mode="json")
    return DashboardRequest(settings=settings, view="data", seconds=60)


async def test_the_data_view_has_days_quarantine_players_and_sources(stored: Path) -> None:
    result = await read_view(data_request(stored))
    assert result.failed == ""
    values: dict[str, Any] = dict(result.values)
    calendar = values["calendars"][0]
    assert (calendar["season"], calendar["days"].strip("-")) == (2024, "pm")
    assert [(each["day"], each["state"]) for each in values["problem_days"]] == [
        ("2024-07-05", "m"),
        ("2024-07-04", "p"),
    ]
    assert values["quarantine"][0]["rows"] == 1
    assert values["unresolved"][0]["name"] == "Unknown, Ulf"
    assert values["sources"][0]["state"] == "open"


async def test_a_server_shows_what_the_database_has(stored: Path, small_repository: Path) -> None:
    with serving(small_repository, "--home", str(stored)) as server:
        wait_for(lambda: request_view(server.admin, "data")["read"]["state"] == "read")
        view = request_view(server.admin, "data")
    assert view["values"]["calendars"][0]["counts"]["p"] == 1
    assert datetime.now(UTC).timestamp() - view["read"]["at"] < 60


def test_an_absent_database_is_a_state_and_no_error(running_server: RunningServer) -> None:
    view = request_view(running_server.admin, "data")
    assert view["values"] is None
    assert view["read"] == {"state": "absent", "at": None, "reason": "there is no database yet"}


def test_a_database_that_does_not_answer_is_a_state_and_no_error(small_repository: Path) -> None:
    url = "postgresql://x@127.0.0.1:9/none"
    with serving(small_repository, "--database-url", url) as server:
        wait_for(lambda: request_view(server.admin, "data")["read"]["state"] == "failed")
        view = request_view(server.admin, "data")
    assert view["values"] is None
    assert view["read"]["reason"]
    assert view["server"]["unready"] == []


def test_the_models_view_has_the_evaluation_of_each_loaded_version(running_server: RunningServer) -> None:
    wait_for(lambda: request_view(running_server.admin, "models")["read"]["state"] == "read")
    view = request_view(running_server.admin, "models")
    versions = {each["model"]: each for each in view["values"]["versions"]}
    assert {"batted_ball", "called_strike", "pitch_outcome", "whiff"} <= versions.keys()
    assert view["aliases"]["batted_ball 1"] == ["production"]
    ball = versions["batted_ball"]
    assert {"out", "single", "double", "triple", "home_run"} == ball["reliability"].keys()
    assert ball["scores"][0]["predictor"] == "model"
    assert ball["scores"][0]["log_loss"] > 0
    assert ball["card"].startswith("# batted_ball")
    assert [each["nominal"] for each in ball["prediction_sets"]] == [0.8, 0.9]


async def test_a_version_that_cannot_be_read_has_its_reason(tmp_path: Path) -> None:
    request = DashboardRequest(
        settings={}, view="models", parameters={"repository": str(tmp_path), "versions": [["whiff", 1]]}, seconds=60
    )
    result = await read_view(request)
    values: dict[str, Any] = dict(result.values)
    assert "unreadable" in values["versions"][0]


def trend(began_at: datetime, calls: int) -> TrendPoint:
    return TrendPoint(
        began_at=int(began_at.timestamp()) // 300 * 300,
        seconds=300,
        calls=calls,
        server_errors=0,
        caller_errors=1,
        rows=calls,
        latency={"0.001": calls},
        queue={"0.0001": calls},
    )


def history_request(home: Path, view: Literal["history", "trends"], **parameters: Any) -> DashboardRequest:
    settings = StoreSettings(home=home).model_dump(mode="json")
    return DashboardRequest(settings=settings, view=view, parameters=parameters, seconds=60)


@pytest.mark.usefixtures("database")
async def test_trends_are_stored_once_and_read_as_the_sum_of_all_servers(store_home: Path) -> None:
    now = datetime.now(UTC)
    points = [asdict(trend(now - timedelta(minutes=minutes), 300)) for minutes in (20, 15)]
    for server in ("one:1", "one:1", "two:1"):
        result = await read_view(history_request(store_home, "trends", server=server, points=points))
        assert result == DashboardResult(values={"stored": 2})
    values: dict[str, Any] = dict((await read_view(history_request(store_home, "history", days=1))).values)
    assert values["servers"] == ["one:1", "two:1"]
    assert values["points"]["calls"] == [2, 2]
    assert values["points"]["p50"] == [0.0005, 0.0005]


async def test_points_of_more_than_two_days_become_hours_with_the_same_sums(
    database: Database, store_home: Path
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
    old = [asdict(trend(hour + timedelta(minutes=5 * number), 360)) for number in range(24)]
    await read_view(history_request(store_home, "trends", server="one:1", points=old))
    async with database.engine.connect() as connection:
        query = text("SELECT seconds, calls, latency FROM server_trends ORDER BY began_at")
        rows = [tuple(row) for row in await connection.execute(query)]
    assert rows == [(3600, 4320, {"0.001": 4320})] * 2
    values: dict[str, Any] = dict((await read_view(history_request(store_home, "history", days=7))).values)
    assert values["points"]["calls"] == [1.2, 1.2]


async def test_points_of_long_ago_are_dropped(database: Database, store_home: Path) -> None:
    old = [asdict(trend(datetime.now(UTC) - timedelta(days=500), 1))]
    await read_view(history_request(store_home, "trends", server="one:1", points=old))
    async with database.engine.connect() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM server_trends"))).scalar_one() == 0


def test_history_without_a_database_has_what_the_server_remembers(running_server: RunningServer) -> None:
    view = request_view(running_server.admin, "history?days=7")
    assert (view["days"], view["read"]["state"], view["values"]) == (7, "absent", None)
    wait_for(lambda: request_view(running_server.admin, "history")["recent"]["at"])
    assert request_view(running_server.admin, "history?days=none")["days"] == 1


async def test_scores_have_lines_by_day_and_every_score_of_the_latest_day(stored: Path) -> None:
    settings = StoreSettings(home=stored).model_dump(mode="json")
    result = await read_view(DashboardRequest(settings=settings, view="scores", seconds=60))
    assert result.failed == ""
    values: dict[str, Any] = dict(result.values)
    assert values["versions"].keys() == {"batted_ball 1"}
    scores = values["versions"]["batted_ball 1"]
    assert [(value, at_training) for _, value, at_training in scores["lines"]["log_loss"]] == [(0.44, 0.42)] * 5
    assert [each["metric"] for each in scores["latest"]] == ["log_loss", "ece", "psi"]
    assert [each["alarm"] for each in scores["latest"]] == [True, False, False]
