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
from tests.soak.client_process import STEADY, UNSTEADY
from tests.soak.expected import shift_of

PATIENCE: Final = 60.0  # seconds that a reload may take on a busy machine
_FIRST, _SECOND = 1, 2
_UNLOADED_EVERY: Final = 5
_PUBLISHED_EVERY: Final = 10


class Reloads:
    """Reloads one version at a time, in every process of a server, and waits until it is done."""

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

    def do(self, number: int) -> None:
        """Do the reload of that number; which kind it is follows from the number."""
        if number % _PUBLISHED_EVERY == _PUBLISHED_EVERY - 1:
            self._publish()
        elif number % _UNLOADED_EVERY == _UNLOADED_EVERY - 2:
            self._unload_and_load()
        else:
            self.flip()

    def flip(self) -> None:
        """Let the alias point to the other version."""
        self._move(_SECOND if self._serving == _FIRST else _FIRST)

    def _publish(self) -> None:
        """Let a new version serve for a moment; then its folder goes."""
        self._newest += 1
        before, new = self._serving, self._newest
        publish_sibling(self._models, STEADY, new, shift=shift_of(new))
        self._move(new)
        self._move(_FIRST if before == _SECOND else _SECOND)
        hidden = (self._models / STEADY / str(new)).rename(self._models / STEADY / f".removed-{new}")
        shutil.rmtree(hidden)

    def _unload_and_load(self) -> None:
        self._tensors.RepositoryModelUnload(RepositoryModelUnloadRequest(model_name=UNSTEADY), timeout=PATIENCE)
        self._tensors.RepositoryModelLoad(RepositoryModelLoadRequest(model_name=UNSTEADY), timeout=PATIENCE)

    def _move(self, version: int) -> None:
        before, self._serving = self._serving, version
        move_alias(self._models, STEADY, PRODUCTION, version, _decision())
        until(lambda: self._serves(version) and not self._serves(before))

    def _serves(self, version: int) -> bool:
        """Tell whether every process serves a version."""
        try:
            answer = self._check(HealthCheckRequest(service=f"models/{STEADY}/{version}"), timeout=PATIENCE)
        except grpc.RpcError:  # NOT_FOUND: nobody knows of it yet
            return False
        return bool(answer.status == HealthCheckResponse.SERVING)


@contextmanager
def reloads(models: Path, target: str) -> Iterator[Reloads]:
    """Make ready to reload over a connection of one's own."""
    with grpc.insecure_channel(target, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield Reloads(models, channel)


def siblings_of(models: Path, repository: Path) -> Path:
    """Copy a repository, and let the model that is reloaded have two versions, siblings; the first serves."""
    shutil.copytree(repository, models)
    serving = aliases(models, STEADY)[PRODUCTION]
    for number in {_FIRST, _SECOND} - {serving}:
        publish_sibling(models, STEADY, number, shift=shift_of(number) - shift_of(serving), of=serving)
    move_alias(models, STEADY, PRODUCTION, _FIRST, _decision())
    for number in set(versions(models, STEADY)) - {_FIRST, _SECOND}:
        shutil.rmtree(models / STEADY / str(number))
    return models


def until(true: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until something holds.

    Raises:
        TimeoutError: it does not in time.
    """
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.02)


def _decision() -> AliasDecision:
    return AliasDecision(actor="a soak", reason="to see that nothing is lost", at=datetime.now(UTC))
