"""Health checking and reflection, as any gRPC tool uses them."""

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.conformance.stock_client import PREDICTION, SECONDS

SERVING = HealthCheckResponse.SERVING
SERVICES = {
    "ondeck.v1.PredictionService",
    "ondeck.v1.ModelService",
    "ondeck.v1.PlayerService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
}


@pytest.mark.parametrize("name", ["", PREDICTION, "models/batted_ball"])
def test_health_is_reported_at_once_and_watched(channel: grpc.Channel, name: str) -> None:
    health, request = HealthStub(channel), HealthCheckRequest(service=name)
    assert health.Check(request, timeout=SECONDS).status == SERVING  # type: ignore[attr-defined]
    watch = health.Watch(request, timeout=SECONDS)  # type: ignore[attr-defined]
    assert next(watch).status == SERVING
    watch.cancel()


def test_an_unknown_name_is_not_found_by_check_and_unknown_by_watch(channel: grpc.Channel) -> None:
    health, request = HealthStub(channel), HealthCheckRequest(service="models/home_runs")
    with pytest.raises(grpc.RpcError) as failed:
        health.Check(request, timeout=SECONDS)  # type: ignore[attr-defined]
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND
    watch = health.Watch(request, timeout=SECONDS)  # type: ignore[attr-defined]
    assert next(watch).status == HealthCheckResponse.SERVICE_UNKNOWN
    watch.cancel()


def test_reflection_lists_and_describes_the_services(channel: grpc.Channel) -> None:
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) >= SERVICES
    service = DescriptorPool(database).FindServiceByName(PREDICTION)  # type: ignore[no-untyped-call]
    assert {"Predict", "BatchPredict", "StreamPredict", "Explain"} <= {each.name for each in service.methods}
