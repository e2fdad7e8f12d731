"""Health checking and reflection, as any gRPC tool uses them."""

from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_reflection.v1alpha.reflection_pb2 import ExtensionRequest, ServerReflectionRequest
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

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


def test_reflection_answers_every_query_in_order(channel: grpc.Channel) -> None:
    message = "ondeck.v1.PredictRequest"
    queries = [
        ServerReflectionRequest(host="here", file_by_filename="ondeck/v1/prediction_service.proto"),
        ServerReflectionRequest(file_by_filename="absent.proto"),
        ServerReflectionRequest(file_containing_symbol="ondeck.v1.Absent"),
        ServerReflectionRequest(
            file_containing_extension=ExtensionRequest(containing_type=message, extension_number=900)
        ),
        ServerReflectionRequest(all_extension_numbers_of_type=message),
        ServerReflectionRequest(all_extension_numbers_of_type="ondeck.v1.Absent"),
        ServerReflectionRequest(),
    ]
    stub: Any = ServerReflectionStub(channel)
    responses = list(stub.ServerReflectionInfo(iter(queries), timeout=SECONDS))
    assert [each.original_request for each in responses] == queries
    described = [
        FileDescriptorProto.FromString(each) for each in responses[0].file_descriptor_response.file_descriptor_proto
    ]
    files = {each.name: set(each.dependency) for each in described}
    assert set(files) == {"ondeck/v1/prediction_service.proto"}.union(*files.values())
    assert len(files) == len(described)
    codes = [each.error_response.error_code for each in responses]
    assert codes == [0, 5, 5, 5, 0, 5, 3]
    assert responses[4].all_extension_numbers_response.base_type_name == message
