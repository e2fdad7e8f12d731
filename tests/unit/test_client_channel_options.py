"""Channel options and service config of the client."""

import json
from itertools import chain
from typing import Any

import pytest
from markdown_it import MarkdownIt

from ondeck.v1 import model_service_pb2, player_service_pb2, prediction_service_pb2
from ondeck_client.channel_options import RETRYABLE, channel_options, service_config
from ondeck_client.channels import CALLED, MAX_CHECKED, Attempts, Channels, is_loopback, model_health
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


def test_grpc_makes_as_many_attempts_on_one_channel_as_on_those_of_first_and_later_ones() -> None:
    def policy(attempts: Attempts) -> dict[str, Any] | None:
        found: dict[str, Any] | None = json.loads(service_config("", attempts))["methodConfig"][0].get("retryPolicy")
        return found

    whole, later = policy(Attempts.ALL), policy(Attempts.LATER)
    assert whole is not None
    assert policy(Attempts.FIRST) is None
    assert later == whole | {"maxAttempts": whole["maxAttempts"] - 1, "initialBackoff": "0.2s"}
    assert whole["initialBackoff"] == "0.1s"


def test_the_client_pings_no_more_often_than_a_server_permits() -> None:
    options = dict(channel_options("127.0.0.1:1", 1 << 20, "", ()))
    assert options["grpc.keepalive_time_ms"] >= MIN_PING_INTERVAL_MS
    assert options["grpc.keepalive_timeout_ms"] < options["grpc.keepalive_time_ms"]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:50051", True),
        ("127.0.0.1", True),
        ("127.1.2.3:443", True),
        ("127.1:443", True),
        ("localhost:50051", True),
        ("LOCALHOST.:50051", True),
        ("ondeck.localhost:50051", True),
        ("[::1]:50051", True),
        ("::1", True),
        ("[::ffff:127.0.0.1]:50051", True),
        ("0.0.0.0:50051", True),
        ("[::]:50051", True),
        ("dns:localhost:50051", True),
        ("dns:///localhost:50051", True),
        ("dns://8.8.8.8/localhost:https", True),
        ("ipv4:127.0.0.1:1,127.0.0.2:2", True),
        ("ipv6:[::1]:1,[::1]:2", True),
        ("unix:/tmp/ondeck", True),
        ("unix:///tmp/ondeck", True),
        ("unix-abstract:ondeck", True),
        ("10.0.0.1:50051", False),
        ("ipv4:127.0.0.1:1,10.0.0.1:2", False),
        ("dns:///ondeck.example:50051", False),
        ("localhost.example:50051", False),
        ("notlocalhost:50051", False),
        ("127.example:50051", False),
        ("[2001:db8::1]:50051", False),
        ("xds:///ondeck", False),
        ("", False),
    ],
)
def test_only_a_target_on_this_machine_is_called_without_the_proxy(target: str, expected: bool) -> None:  # noqa: FBT001
    assert is_loopback(target) is expected
    assert dict(channel_options(target, 1 << 20, "", ()))["grpc.enable_http_proxy"] == (not expected)
    assert dict(channel_options(target, 1, "", [("grpc.enable_http_proxy", 5)]))["grpc.enable_http_proxy"] == 5


@pytest.mark.parametrize(
    ("version", "alias", "expected"),
    [(None, None, "models/batted_ball"), (3, None, "models/batted_ball/3"), (None, "new", "models/batted_ball@new")],
)
def test_a_call_needs_the_health_of_the_version_that_it_uses(
    version: int | None, alias: str | None, expected: str
) -> None:
    assert model_health("Batted-Ball ", version, alias) == expected


def test_each_health_name_has_one_channel_and_their_number_is_limited() -> None:
    opened: list[str | None] = []

    def open_channel(health: str | None, _: Attempts) -> str | None:
        opened.append(health)
        return health

    channels = Channels(open_channel, CALLED)
    for number in range(2 * MAX_CHECKED):
        for _ in range(2):
            assert channels.of_call(f"models/{number}") in (f"models/{number}", None)
    assert channels.of_call("models/1") == "models/1"
    assert channels.of_call("models/1", is_checked=False) is None
    assert len(opened) == len(set(opened)) == len(channels.opened) <= MAX_CHECKED + 2
    assert {
        Channels(lambda health, _: health, fixed).of_call("models/1", is_checked=False) for fixed in ("", None)
    } == {
        "",
        None,
    }


def test_options_of_the_caller_take_precedence() -> None:
    options = dict(channel_options("127.0.0.1:1", 1 << 20, "", [("grpc.keepalive_time_ms", 600_000)]))
    assert options["grpc.keepalive_time_ms"] == 600_000


def test_the_documented_service_config_is_that_of_the_client() -> None:
    page = (ROOT / "docs" / "how-to" / "add-a-replica.md").read_text()
    documented = [token.content for token in MarkdownIt().parse(page) if token.type == "fence" and token.info == "json"]
    assert [json.loads(each) for each in documented] == [json.loads(service_config("models/batted_ball"))]
