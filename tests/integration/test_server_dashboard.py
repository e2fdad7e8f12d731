"""The endpoints of the dashboard, its files and its headers, against a real server."""

import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_server.dashboard.pages import CONTENT_SECURITY_POLICY, static_files
from tests.factories.broken_models import BROKEN, MODEL, add_broken_versions
from tests.fixtures.dashboard import light_load, read_view, wait_for
from tests.fixtures.server import RunningServer, serving

VISIBLE_SECONDS = 10


@pytest.fixture(scope="module")
def models(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(small_repository, tmp_path_factory.mktemp("dashboard") / "models"))


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[RunningServer]:
    with serving(models, workers=2, repository_poll_seconds=1) as running:
        yield running


def get(url: str, **headers: str) -> tuple[int, Message, bytes]:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): text for name, text in headers.items()})  # noqa: S310  a local server
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310  as above
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.headers, refused.read()


@pytest.mark.parametrize("path", ["/", "/dashboard/app.js", "/dashboard/dashboard.css", "/api/v1/now"])
def test_every_response_has_the_content_security_policy(server: RunningServer, path: str) -> None:
    status, headers, _ = get(server.admin + path)
    assert status == 200
    assert headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'self';")
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_the_page_has_no_inline_script_or_style_and_no_foreign_address(server: RunningServer) -> None:
    page = get(server.admin + "/")[2].decode()
    assert "<style" not in page
    assert " style=" not in page
    assert page.count("<script") == page.count('<script src="/dashboard/') + page.count(
        '<script type="module" src="/dashboard/'
    )
    assert "://" not in page


def test_every_file_is_served_with_its_type_and_an_entity_tag(server: RunningServer) -> None:
    assert {"index.html", "app.js", "uplot.js", "uplot-license.txt"} <= static_files().keys()
    for name, file in static_files().items():
        url = f"{server.admin}/dashboard/{name}"
        status, headers, content = get(url)
        assert (status, headers["Content-Type"], content) == (200, file.media_type, file.content)
        assert get(url, If_None_Match=headers["ETag"])[0] == 304


@pytest.mark.parametrize("path", ["/dashboard/none.js", "/dashboard/..%2f__init__.py", "/dashboard/", "/api/v1/none"])
def test_an_unknown_path_is_not_found(server: RunningServer, path: str) -> None:
    assert get(server.admin + path)[0] == 404


def test_now_has_traffic_latency_errors_versions_and_workers(server: RunningServer) -> None:
    with light_load(server.target):
        wait_for(lambda: _has_points(read_view(server.admin, "now")))
        view = read_view(server.admin, "now")
    points, traffic = view["traffic"]["points"], view["traffic"]
    assert max(points["calls"]) > 5
    assert max(points["caller_errors"]) > 0
    assert max(points["rows"]) > 5
    assert 0 < points["p50"][-1] <= points["p99"][-1] < 5
    assert {"OK", "INVALID_ARGUMENT"} <= {row["code"] for row in traffic["statuses"]}
    assert traffic["methods"][0]["method"] == "PredictionService/Predict"
    assert sum(bar["calls"] for bar in traffic["latency"]) > 5
    states = {row["model"]: (row["state"], row["loaded_in"], row["aliases"]) for row in view["versions"]}
    assert states[MODEL] == ("loaded", 2, ["production"])
    assert [worker["phase"] for worker in view["workers"]] == ["listening", "listening"]
    assert view["server"]["unready"] == view["server"]["degraded"] == []


def _has_points(view: dict[str, Any]) -> bool:
    points = view["traffic"]["points"] if view["traffic"] else {}
    return bool(points) and points["calls"][-1] > 5 and points["caller_errors"][-1] > 0


def test_a_killed_worker_becomes_visible_and_is_replaced(server: RunningServer) -> None:
    before = {worker["pid"] for worker in read_view(server.admin, "now")["workers"]}
    killed = server.workers()[0]
    assert killed.pid in before
    killed.kill()
    wait_for(lambda: read_view(server.admin, "server")["server"]["degraded"], VISIBLE_SECONDS)
    wait_for(lambda: _listening(server) - before)
    assert killed.pid not in _listening(server)
    wait_for(lambda: read_view(server.admin, "now")["worker_exits"]["died"] == 1, VISIBLE_SECONDS)


def _listening(server: RunningServer) -> set[int]:
    return {each["pid"] for each in read_view(server.admin, "now")["workers"] if each["phase"] == "listening"}


def test_a_refused_version_becomes_visible_with_its_reason(
    server: RunningServer, models: Path, small_repository: Path
) -> None:
    broken = add_broken_versions(Path(shutil.copytree(small_repository, models.parent / "broken")))
    shutil.move(broken / MODEL / str(BROKEN), models / MODEL / str(BROKEN))
    decision = AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC))
    move_alias(models, MODEL, "candidate", BROKEN, decision)
    wait_for(lambda: _refused(server), VISIBLE_SECONDS)
    (row,) = _refused(server)
    assert (row["model"], row["version"], row["pending_aliases"]) == (MODEL, BROKEN, ["candidate"])
    assert row["reason"]
    assert f"{MODEL} {BROKEN} refused" in "".join(read_view(server.admin, "server")["server"]["degraded"])


def _refused(server: RunningServer) -> list[dict[str, Any]]:
    return [row for row in read_view(server.admin, "now")["versions"] if row["state"] == "refused"]
