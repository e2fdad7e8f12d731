"""Health statuses of names, workers and watches."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from ondeck_server.health.status import HealthRegistry, ServerHealth, statuses
from ondeck_server.ipc.messages import WorkerStatus
from ondeck_server.supervisor.policy import aggregate_serving

SERVICES = ("ondeck.v1.PredictionService", "inference.GRPCInferenceService")


def health(**changes: Any) -> ServerHealth:
    """Return the health of one model, `ball`, with two versions; version 1 is in production and serves."""
    known: dict[str, Any] = {
        "services": SERVICES,
        "loaded": {("ball", 1): True, ("ball", 2): False},
        "desired": {"ball": {"production": 1}},
        "applied": {"ball": {"production": 1}},
    }
    return ServerHealth(**{**known, **changes})


def test_every_name_has_its_status() -> None:
    found = statuses(
        health(independent={"ondeck.v1.PlayerService": False}, desired={"ball": {"production": 1, "candidate": 2}})
    )
    assert found == {
        "": True,
        "ondeck.v1.PredictionService": True,
        "inference.GRPCInferenceService": True,
        "ondeck.v1.PlayerService": False,
        "models/ball": True,
        "models/ball@production": True,
        "models/ball@candidate": False,
        "models/ball/1": True,
        "models/ball/2": False,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"loaded": {}, "desired": {}, "applied": {}}, False),
        ({"desired": {"ball": {"candidate": 1}}, "applied": {"ball": {"candidate": 1}}}, False),
        ({"unloaded": {"ball"}}, False),
        ({"loaded": {("ball", 1): False}}, False),
        ({"applied": {}}, False),
        ({"desired": {"ball": {"production": 1}, "strike": {"production": 1}}}, True),
        ({"desired": {"ball": {"production": 2}}, "loaded": {("ball", 1): True, ("ball", 2): False}}, True),
        ({"applied": {"ball": {"production": 1}, "strike": {"production": 1}}}, False),
        ({"desired": {"ball": {"production": 1}, "strike": {"candidate": 1}}}, True),
        ({"desired": {"ball": {"production": 1}, "strike": {"production": 1}}, "unloaded": {"strike"}}, True),
    ],
    ids=[
        "its one model answers",
        "there is no model",
        "no model is required",
        "all were unloaded on purpose",
        "production does not answer",
        "production leads nowhere yet",
        "one of two was never loaded",
        "the next version is refused",
        "one of two that were loaded does not answer",
        "one of two is not required",
        "one of two was unloaded on purpose",
    ],
)
def test_the_server_serves_if_every_model_in_production_here_serves(changes: dict[str, Any], expected: bool) -> None:  # noqa: FBT001
    found = statuses(health(**changes))
    assert {found[name] for name in ("", *SERVICES)} == {expected}


def test_a_newer_version_that_fails_keeps_the_status_serving() -> None:
    found = statuses(health(desired={"ball": {"production": 2}}))
    assert (found[""], found["models/ball"], found["models/ball@production"], found["models/ball/2"]) == (
        True,
        True,
        True,
        False,
    )


def status(serving: dict[str, bool]) -> WorkerStatus:
    return WorkerStatus(ready=True, listening=True, serving=serving, missing=(), loaded=())


def test_a_name_serves_if_all_workers_report_serving() -> None:
    here = {"": True, "models/ball": True, "models/ball/2": True}
    other = {"": True, "models/ball": False, "models/strike": True}
    assert aggregate_serving([status(here)]) == here
    assert aggregate_serving([status(here), status(other)]) == {
        "": True,
        "models/ball": False,
        "models/ball/2": False,
        "models/strike": False,
    }


async def test_a_watch_yields_the_status_now_and_each_change() -> None:
    health = HealthRegistry()
    async with aclosing(health.watch("models/ball")) as words:
        assert await anext(words) is None
        health.update({"models/ball": False, "": True})
        assert await anext(words) is False
        health.update({"models/ball": False, "": False})
        health.update({"models/ball": True, "": False})
        assert await anext(words) is True
        health.update({"": False})
        assert await anext(words) is None
    assert health.watchers == 0


async def test_a_slow_watcher_sees_only_the_latest_status() -> None:
    health = HealthRegistry()
    async with aclosing(health.watch("")) as words:
        assert await anext(words) is None
        for round_ in range(100):
            health.update({"": round_ % 2 == 0})
        health.update({"": True})
        assert await anext(words) is True
        waiting = asyncio.ensure_future(anext(words))
        await asyncio.sleep(0)
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_not_serving_at_shutdown_is_final() -> None:
    health = HealthRegistry()
    health.update({"": True, "models/ball": True})
    health.enter_graceful_shutdown()
    assert health.statuses == {"": False, "models/ball": False}
    health.update({"": True, "models/strike": True})
    assert health.statuses == {"": False, "models/strike": False}


async def test_every_watch_ends_at_shutdown() -> None:
    health = HealthRegistry()
    health.update({"": True})
    seen: list[bool | None] = []

    async def watch() -> None:
        seen.extend([word async for word in health.watch("")])

    looking = asyncio.ensure_future(watch())
    await asyncio.sleep(0)
    health.enter_graceful_shutdown()
    await asyncio.sleep(0)
    health.end_watches()
    await asyncio.wait_for(looking, 1)
    assert seen == [True, False]
    assert health.watchers == 0
