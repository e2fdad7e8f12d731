"""Versions reloaded under load: aliases flipped, models unloaded and loaded again, versions published and removed."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from inference.grpc_service_pb2 import RepositoryModelLoadRequest, RepositoryModelUnloadRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.repository import aliases, versions
from tests.factories.sibling_versions import publish_sibling
from tests.soak.cancelling_clients import SERVED, UNLOADED
from tests.soak.expected import shift_of

RELOAD_TIMEOUT: Final = 60.0  # seconds, generous for a busy machine
_FIRST, _SECOND = 1, 2
_UNLOADED_EVERY: Final = 5
_PUBLISHED_EVERY: Final = 10


class Reloader:
    """Reloads one version at a time in every worker of a server, and waits until it is done."""

    def __init__(self, models: Path, channel: grpc.Channel) -> None:
        self._models = models
        self._tensors = GRPCInferenceServiceStub(channel)
        self._check: grpc.UnaryUnaryMultiCallable[HealthCheckRequest, HealthCheckResponse] = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=HealthCheckRequest.SerializeToString,
            response_deserializer=HealthCheckResponse.FromString,
        )
        self._serving = _FIRST
        self._newest = _SECOND

    def reload(self, number: int) -> None:
        """Run the reload of that number; its kind follows from the number."""
        if number % _PUBLISHED_EVERY == _PUBLISHED_EVERY - 1:
            self._publish()
        elif number % _UNLOADED_EVERY == _UNLOADED_EVERY - 2:
            self._unload_and_load()
        else:
            self.flip()

    def flip(self) -> None:
        """Set the alias to the other version."""
        self._set_alias(_SECOND if self._serving == _FIRST else _FIRST)

    def _publish(self) -> None:
        """Publish a new version, serve it for a moment, then remove its folder."""
        self._newest += 1
        before, new = self._serving, self._newest
        publish_sibling(self._models, SERVED, new, shift=shift_of(new))
        self._set_alias(new)
        self._set_alias(_FIRST if before == _SECOND else _SECOND)
        hidden = (self._models / SERVED / str(new)).rename(self._models / SERVED / f".removed-{new}")
        shutil.rmtree(hidden)

    def _unload_and_load(self) -> None:
        self._tensors.RepositoryModelUnload(RepositoryModelUnloadRequest(model_name=UNLOADED), timeout=RELOAD_TIMEOUT)
        self._tensors.RepositoryModelLoad(RepositoryModelLoadRequest(model_name=UNLOADED), timeout=RELOAD_TIMEOUT)

    def _set_alias(self, version: int) -> None:
        before, self._serving = self._serving, version
        move_alias(self._models, SERVED, PRODUCTION, version, _decision())
        wait_until(lambda: self._serves(version) and not self._serves(before))

    def _serves(self, version: int) -> bool:
        """Return whether every worker serves a version."""
        try:
            response = self._check(HealthCheckRequest(service=f"models/{SERVED}/{version}"), timeout=RELOAD_TIMEOUT)
        except grpc.RpcError:  # NOT_FOUND: no worker has seen it yet
            return False
        return bool(response.status == HealthCheckResponse.SERVING)


@contextmanager
def open_reloader(models: Path, target: str) -> Iterator[Reloader]:
    """Open a reloader with a connection of its own."""
    with grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield Reloader(models, channel)


def copy_with_siblings(models: Path, repository: Path) -> Path:
    """Copy a repository and give the reloaded model two sibling versions; the first is in production."""
    shutil.copytree(repository, models)
    serving = aliases(models, SERVED)[PRODUCTION]
    for number in {_FIRST, _SECOND} - {serving}:
        publish_sibling(models, SERVED, number, shift=shift_of(number) - shift_of(serving), of=serving)
    move_alias(models, SERVED, PRODUCTION, _FIRST, _decision())
    for number in set(versions(models, SERVED)) - {_FIRST, _SECOND}:
        shutil.rmtree(models / SERVED / str(number))
    return models


def wait_until(condition: Callable[[], bool], seconds: float = RELOAD_TIMEOUT) -> None:
    """Wait until a condition is true.

    Raises:
        TimeoutError: it stays false.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def _decision() -> AliasDecision:
    return AliasDecision(actor="a soak", reason="reload under load", at=datetime.now(UTC))
