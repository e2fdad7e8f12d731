"""Channel options and service config of the client."""

import json
from itertools import chain

import pytest
from markdown_it import MarkdownIt

from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from ondeck_client.channel_options import RETRYABLE, channel_options, service_config
from tests.conftest import ROOT

SERVICES = {
    service.full_name: service
    for file in (prediction_service_pb2, model_service_pb2, player_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
}
NOT_RETRYABLE = {"StreamPredict", "MoveAlias", "RollbackModel"}  # resumes by itself; not idempotent
MIN_PING_INTERVAL_MS = 300_000  # default of gRPC servers; more frequent pings end the connection


def test_each_rpc_is_listed_as_retryable_or_not() -> None:
    for name, service in SERVICES.items():
        methods = {method.name for method in service.methods}
        retryable = set(RETRYABLE[name])
        assert retryable <= methods
        assert methods - retryable <= NOT_RETRYABLE
        assert not retryable & NOT_RETRYABLE


def test_no_service_is_retryable_as_a_whole() -> None:
    config = json.loads(service_config(""))
    names = list(chain.from_iterable(each["name"] for each in config["methodConfig"]))
    assert {each["service"] for each in names} == set(SERVICES)
    assert all(each["method"] for each in names)


@pytest.mark.parametrize(
    ("health", "expected"), [("", {"serviceName": ""}), ("models/whiff", {"serviceName": "models/whiff"}), (None, None)]
)
def test_health_is_checked_under_the_chosen_name(health: str | None, expected: object) -> None:
    assert json.loads(service_config(health)).get("healthCheckConfig") == expected


def test_the_client_pings_no_more_often_than_a_server_permits() -> None:
    options = dict(channel_options(1 << 20, "", ()))
    assert options["grpc.keepalive_time_ms"] >= MIN_PING_INTERVAL_MS
    assert options["grpc.keepalive_timeout_ms"] < options["grpc.keepalive_time_ms"]


def test_options_of_the_caller_take_precedence() -> None:
    options = dict(channel_options(1 << 20, "", [("grpc.keepalive_time_ms", 600_000)]))
    assert options["grpc.keepalive_time_ms"] == 600_000


def test_the_documented_service_config_is_that_of_the_client() -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-replica.md").read_text()
    documented = [token.content for token in MarkdownIt().parse(page) if token.type == "fence" and token.info == "json"]
    assert [json.loads(each) for each in documented] == [json.loads(service_config("models/batted_ball"))]
