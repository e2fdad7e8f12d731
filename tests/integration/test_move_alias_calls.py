"""Alias changes by rpc: gated, logged, and never to an unverified version."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from ondeck.v1.model_service_pb2 import (
    GetModelRequest,
    ListAliasChangesRequest,
    MoveAliasRequest,
    RollbackModelRequest,
)
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck_registry.atomic_files import LOCK_FILE
from ondeck_registry.repository import aliases
from tests.factories.broken_models import BROKEN, GOOD, MODEL, NO_BETTER, UNNAMED, add_broken_versions
from tests.fixtures.server import serving


@pytest.fixture(scope="module")
def models(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_broken_versions(Path(shutil.copytree(small_repository, tmp_path_factory.mktemp("moved") / "models")))


@pytest.fixture(scope="module")
def stub(models: Path) -> Iterator[Any]:
    with serving(models) as server, grpc.insecure_channel(server.target) as channel:
        yield ModelServiceStub(channel)


def move_request(version: int, **more: Any) -> MoveAliasRequest:
    return MoveAliasRequest(**{"model": MODEL, "version": version, "reason": "a test", **more})


def refused(call: Any, request: Any) -> tuple[grpc.StatusCode, ErrorInfo]:
    with pytest.raises(grpc.RpcError) as raised:
        call(request, timeout=30)
    error: Any = raised.value
    status, info = rpc_status.from_call(error), ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return error.code(), info


def test_a_desired_version_that_is_refused_is_reported(stub: Any) -> None:
    broken, good = (
        stub.GetModel(GetModelRequest(model=ModelSpec(name=MODEL, version=number))).model for number in (BROKEN, GOOD)
    )
    assert (list(broken.desired_aliases), list(broken.aliases)) == (["candidate"], [])
    assert (list(good.desired_aliases), list(good.aliases)) == (["production"], ["production"])
    assert "not the file that was published" in broken.state_reason


def test_an_alias_change_is_applied_once_and_logged_with_actor_and_reason(stub: Any, models: Path) -> None:
    made = stub.MoveAlias(move_request(UNNAMED, alias="spare")).change
    assert (made.model, made.alias, made.to_version, made.HasField("from_version")) == (MODEL, "spare", UNNAMED, False)
    assert (made.actor, made.reason) == ("ipv4:127.0.0.1", "a test; no gate for spare")
    assert not stub.MoveAlias(move_request(UNNAMED, alias="spare")).HasField("change")
    assert aliases(models, MODEL)["spare"] == UNNAMED
    assert stub.ListAliasChanges(ListAliasChangesRequest(model=MODEL, alias="spare")).changes == [made]


def test_production_needs_a_better_evaluation_or_force_and_can_be_rolled_back(stub: Any, models: Path) -> None:
    code, info = refused(stub.MoveAlias, move_request(NO_BETTER))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PROMOTION_GATE_FAILED")
    assert aliases(models, MODEL)["production"] == GOOD
    forced = stub.MoveAlias(move_request(NO_BETTER, force=True)).change
    assert (forced.forced, forced.from_version, forced.to_version) == (True, GOOD, NO_BETTER)
    assert forced.reason.startswith("a test; forced, although log loss")
    back = stub.RollbackModel(RollbackModelRequest(model="Batted-Ball", reason="worse")).change
    assert (back.rollback, back.from_version, back.to_version) == (True, NO_BETTER, GOOD)
    assert aliases(models, MODEL)["production"] == GOOD


def test_force_does_not_set_an_alias_to_an_unverified_version(stub: Any, models: Path) -> None:
    code, info = refused(stub.MoveAlias, move_request(BROKEN, force=True))
    assert (code, info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "VERIFICATION_FAILED")
    assert dict(info.metadata) == {"model": MODEL, "version": str(BROKEN)}
    assert aliases(models, MODEL)["production"] == GOOD


def test_alias_changes_are_paged_with_the_latest_first(stub: Any) -> None:
    whole = stub.ListAliasChanges(ListAliasChangesRequest(model=MODEL)).changes
    assert [each.moved_at for each in whole] == sorted((each.moved_at for each in whole), reverse=True)
    paged, token = [], ""
    while True:
        page = stub.ListAliasChanges(ListAliasChangesRequest(model=MODEL, page_size=1, page_token=token))
        paged += page.changes
        token = page.next_page_token
        if not token:
            break
    assert paged == list(whole)
    code, _ = refused(stub.ListAliasChanges, ListAliasChangesRequest(model=MODEL, page_token="x"))  # noqa: S106  a page token, no secret
    assert code is grpc.StatusCode.INVALID_ARGUMENT


def test_a_folder_that_cannot_be_written_is_unavailable(stub: Any, models: Path) -> None:
    lock = models / "called_strike" / LOCK_FILE
    lock.unlink(missing_ok=True)
    lock.mkdir()
    request = RollbackModelRequest(model="called_strike", reason="a test")
    code, info = refused(stub.RollbackModel, request)
    assert (code, info.reason) == (grpc.StatusCode.UNAVAILABLE, "REPOSITORY_LOCKED")
