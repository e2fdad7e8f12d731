"""`grpc.health.v1` over the wire, with stock clients and grpc_health_probe."""

import asyncio
import gc
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc.error_details_pb2 import ErrorInfo, ResourceInfo
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.health.status import HealthRegistry
from ondeck_server.rpc.method import CallMetrics, methods_of
from ondeck_server.services.health import HEALTH, HealthListRequest, HealthListResponse, HealthService
from ondeck_server.transports.grpcio.call import generic_handlers
from tests.fixtures.server import RunningServer

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING
UNKNOWN = HealthCheckResponse.SERVICE_UNKNOWN
UNUSED_ADDRESS: Final = "127.0.0.1:1"


@dataclass(frozen=True, kw_only=True)
class ServedHealth:
    """A served health service and its registry."""

    health: HealthRegistry
    target: str


@pytest.fixture
async def served() -> AsyncIterator[ServedHealth]:
    health, server = HealthRegistry(), grpc.aio.server()
    methods = methods_of(HEALTH, HealthService(health), CallMetrics(MetricsBlock()))
    server.add_generic_rpc_handlers(generic_handlers(methods, compression_threshold=0))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield ServedHealth(health=health, target=f"127.0.0.1:{port}")
    health.end_watches()
    await server.stop(1)


def health(channel: Any) -> Any:
    return HealthStub(channel)  # untyped stubs


async def wait_value(what: Any, expected: Any) -> None:
    async with asyncio.timeout(60):
        while what() != expected:
            gc.collect()
            await asyncio.sleep(0.01)


def list_statuses(channel: Any) -> Any:
    return channel.unary_unary(
        "/grpc.health.v1.Health/List",
        request_serializer=HealthListRequest.SerializeToString,
        response_deserializer=HealthListResponse.FromString,
    )


async def test_list_reports_every_name(served: ServedHealth) -> None:
    served.health.update({"": True, "models/ball": False})
    async with grpc.aio.insecure_channel(served.target) as channel:
        answer = await list_statuses(channel)(HealthListRequest())
    assert {name: each.status for name, each in answer.statuses.items()} == {"": SERVING, "models/ball": NOT_SERVING}


async def test_a_watch_of_an_unknown_name_reports_service_unknown_until_it_exists(served: ServedHealth) -> None:
    async with grpc.aio.insecure_channel(served.target) as channel:
        call: Any = health(channel).Watch(HealthCheckRequest(service="models/ball"))
        assert (await call.read()).status == UNKNOWN
        served.health.update({"models/ball": False})
        assert (await call.read()).status == NOT_SERVING
        served.health.update({"models/ball": True})
        assert (await call.read()).status == SERVING
        served.health.enter_graceful_shutdown()
        assert (await call.read()).status == NOT_SERVING
        served.health.end_watches()
        assert await call.read() is grpc.aio.EOF


async def test_a_check_of_an_unknown_name_is_not_found_and_lists_the_known_ones(served: ServedHealth) -> None:
    served.health.update({"": True, "models/ball": True})
    async with grpc.aio.insecure_channel(served.target) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await health(channel).Check(HealthCheckRequest(service="models/bull"))
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert "models/ball" in str(refused.value.details())
    status, info, resource = rpc_status.from_call(refused.value), ErrorInfo(), ResourceInfo()  # type: ignore[arg-type]  # the stubs declare only the sync error
    assert status is not None
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(resource)
    assert (info.reason, resource.resource_name) == ("SERVICE_NOT_FOUND", "models/bull")


async def test_a_thousand_watches_leave_nothing_behind(served: ServedHealth) -> None:
    served.health.update({"": True})
    before = len(asyncio.all_tasks())
    async with grpc.aio.insecure_channel(served.target) as channel:
        calls: list[Any] = [health(channel).Watch(HealthCheckRequest()) for _ in range(1000)]
        for call in calls:
            assert (await call.read()).status == SERVING
        assert served.health.watchers == 1000
        served.health.update({"": False})
        for call in calls[::2]:
            assert (await call.read()).status == NOT_SERVING
        for call in calls:
            call.cancel()
        del calls, call
        await wait_value(lambda: served.health.watchers, 0)
        assert (await health(channel).Check(HealthCheckRequest())).status == NOT_SERVING
    await wait_value(lambda: len(asyncio.all_tasks()) <= before, expected=True)


def test_reflection_describes_list_as_well(running_server: RunningServer) -> None:
    with grpc.insecure_channel(running_server.target) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service = pool.FindServiceByName("grpc.health.v1.Health")  # type: ignore[no-untyped-call]  # untyped stubs
    assert [method.name for method in service.methods] == ["Check", "Watch", "List"]


def test_versions_and_aliases_have_their_own_names(running_server: RunningServer) -> None:
    with grpc.insecure_channel(running_server.target) as channel:
        statuses = list_statuses(channel)(HealthListRequest(), timeout=10).statuses
    assert {statuses[f"models/batted_ball{each}"].status for each in ("", "@production", "/1")} == {SERVING}
    assert statuses["ondeck.v1.PlayerService"].status == NOT_SERVING


def probe(target: str, service: str, *, seconds: float = 5) -> int:
    """Return the documented exit code of grpc_health_probe; 1 means wrong flags and sends nothing."""
    with grpc.insecure_channel(target) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=seconds)
        except grpc.FutureTimeoutError:
            return 2  # no connection
        try:
            answer = health(channel).Check(HealthCheckRequest(service=service), timeout=seconds)
        except grpc.RpcError:
            return 3  # the call failed, or took too long
        return 0 if answer.status == SERVING else 4


PROBED = [
    ("", 0),
    ("ondeck.v1.PredictionService", 0),
    ("models/batted_ball", 0),
    ("models/batted_ball@production", 0),
    ("models/batted_ball/1", 0),
    ("ondeck.v1.PlayerService", 4),
    ("models/home_runs", 3),
]


@pytest.mark.parametrize(("service", "code"), PROBED)
def test_a_probe_ends_with_its_documented_code(running_server: RunningServer, service: str, code: int) -> None:
    assert probe(running_server.target, service) == code


def test_a_probe_without_a_server_ends_with_its_documented_code() -> None:
    assert probe(UNUSED_ADDRESS, "", seconds=0.5) == 2


@pytest.mark.parametrize(("service", "code"), [*PROBED, (None, 2), ("no such flag", 1)])
def test_grpc_health_probe_itself_ends_with_these_codes(
    running_server: RunningServer, service: str | None, code: int
) -> None:
    program = shutil.which("grpc_health_probe")
    if program is None:
        pytest.skip("grpc_health_probe is not installed; its requests are reproduced above")
    target = UNUSED_ADDRESS if service is None else running_server.target
    words = ["-no-such-flag"] if code == 1 else [f"-addr={target}", f"-service={service or ''}", "-connect-timeout=2s"]
    assert subprocess.run([program, *words], timeout=30, check=False).returncode == code
