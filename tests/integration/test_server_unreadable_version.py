"""A version whose folder cannot be read is set aside with the reason; the other versions and models serve."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from ondeck.v1.model_service_pb2 import ModelState
from tests.factories.unanswered_mount import UnansweredMount, can_mount
from tests.fixtures.server import serving
from tests.integration.test_server_broken_repository import GOOD, infer, listed, publish

OTHER = "other"


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Mount a file system over a folder whose every access fails, for root as well."""
    mount = UnansweredMount(folder)
    mount.fail()
    try:
        yield
    finally:
        mount.remove()


@pytest.mark.skipif(not can_mount(), reason="needs FUSE and the right to mount")
def test_an_unreadable_version_sets_itself_aside_alone(tmp_path: Path) -> None:
    models = tmp_path / "models"
    for name in (GOOD, GOOD, OTHER):
        publish(models, name)
    with unreadable(models / GOOD / "1"), serving(models, log=tmp_path / "log", version_policy="all") as server:
        with grpc.insecure_channel(server.target) as channel:
            entries = listed(channel)
            assert {key for key, each in entries.items() if each.state == ModelState.MODEL_STATE_LOADED} == {
                (GOOD, 2),
                (OTHER, 1),
            }
            aside = [each for key, each in entries.items() if key[0] == GOOD and key[1] != 2]
            assert [bool(each.state_reason) for each in aside] == [True]
            assert (infer(channel, GOOD), infer(channel, OTHER)) == ("2", "1")
        assert server.process.poll() is None
    assert "Traceback" not in (tmp_path / "log").read_text()
