"""The fields of a request are counted in its bytes, before it is parsed."""

import pytest
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from hypothesis import given
from hypothesis import strategies as st

from inference.grpc_service_pb2 import ModelInferRequest
from ondeck.v1 import player_service_pb2, prediction_service_pb2
from ondeck.v1.instances_pb2 import BattedBallColumns, Pitch, PitchColumns, Side
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.player_service_pb2 import PlayerName, PlayerQuery, ResolvePlayersRequest
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.rpc.errors import ProtocolError, UnreadableRequestError
from ondeck_server.rpc.field_count import VALUES_PER_FIELD, count_fields, field_table, has_repeated_fields
from ondeck_server.rpc.method import MAX_FIELDS, MAX_PLAIN_BYTES, CallMetrics, Method, allow_fields, methods_of

LIMIT = 1000
BALLS = BattedBallColumns(launch_speed=[1.0] * 10_000, launch_angle=[1.0] * 10_000)


def count(message: Message, limit: int = LIMIT) -> int:
    return count_fields(message.SerializeToString(), field_table(message.DESCRIPTOR), limit)  # type: ignore[arg-type]  # the stubs allow a second kind of descriptor


@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (PredictRequest(), 0),
        (
            PredictRequest(
                model=ModelSpec(name="x" * 1000, version=300), pitch=Pitch(plate_x=1.0, stand=Side.SIDE_LEFT)
            ),
            6,
        ),
        (ResolvePlayersRequest(queries=[PlayerQuery(name=PlayerName(name="a", season=2024))] * 3), 12),
        (ModelInferRequest(raw_input_contents=[b"\x08" * 5000, b""]), 2),
        (BatchPredictRequest(batted_balls=BALLS), 3),
        (BatchPredictRequest(pitches=PitchColumns(stand=[Side.SIDE_LEFT] * 10 * VALUES_PER_FIELD)), 12),
    ],
)
def test_every_field_of_a_message_and_its_submessages_counts(message: Message, fields: int) -> None:
    assert count(message) == fields


@pytest.mark.parametrize("part", [b"\x2a\0", b"\x22\0", b"\x3a\0", b"\xf8\x07\1", b"\x83\x08\x84\x08"])
def test_the_count_ends_beyond_the_limit(part: bytes) -> None:
    assert LIMIT < count_fields(part * 1_000_000, field_table(ModelInferRequest.DESCRIPTOR), LIMIT) <= LIMIT + 1


@pytest.mark.parametrize(
    "bytes_", [b"\xff" * 1_000_000, b"\x08" + b"\xff" * 1_000_000, b"\x2a", b"\x2a\xff", b"\x2a\x7f"]
)
def test_bytes_that_are_no_message_end_the_count(bytes_: bytes) -> None:
    assert count_fields(bytes_, field_table(ModelInferRequest.DESCRIPTOR), LIMIT) == 1


@given(st.binary(max_size=200))
def test_any_bytes_can_be_counted(noise: bytes) -> None:
    counted = count_fields(noise, field_table(ModelInferRequest.DESCRIPTOR), LIMIT)
    try:
        parsed = ModelInferRequest.FromString(noise)
    except DecodeError:
        return
    assert counted >= len(parsed.inputs) + len(parsed.outputs) + len(parsed.raw_input_contents) + len(parsed.parameters)


def test_only_some_request_types_have_repeated_fields() -> None:
    assert not has_repeated_fields(PredictRequest.DESCRIPTOR)
    assert has_repeated_fields(BatchPredictRequest.DESCRIPTOR)


class Handlers:
    """Handlers of two services, none of which runs."""

    predict = batch_predict = stream_predict = explain = get_player = search_players = None

    @allow_fields(MAX_FIELDS + 10)
    async def resolve_players(self) -> None: ...


def method(name: str) -> Method:
    services = (prediction_service_pb2, "PredictionService"), (player_service_pb2, "PlayerService")
    metrics = CallMetrics(MetricsBlock())
    found = (
        each
        for module, service in services
        for each in methods_of(module.DESCRIPTOR.services_by_name[service], Handlers(), metrics)
    )
    return next(each for each in found if each.name.endswith(f"/{name}"))


@pytest.mark.parametrize(
    ("name", "request_", "code"),
    [
        ("Predict", b"\x12\0\x1a\0" * MAX_FIELDS, None),
        ("BatchPredict", b"\x12\0\x1a\0" * MAX_FIELDS, None),
        ("ResolvePlayers", b"\x0a\0" * (MAX_FIELDS + 11), None),
        ("Predict", PredictRequest(model=ModelSpec(name="x" * MAX_PLAIN_BYTES)).SerializeToString(), 8),
    ],
)
def test_a_request_beyond_the_limits_of_its_method_is_not_parsed(name: str, request_: bytes, code: int | None) -> None:
    with pytest.raises(UnreadableRequestError if code is None else ProtocolError) as refused:
        method(name).decode(request_)
    assert code is None or (isinstance(refused.value, ProtocolError) and refused.value.code == code)
    assert code_pb2.RESOURCE_EXHAUSTED == 8


def test_a_handler_may_allow_more_fields() -> None:
    assert len(method("ResolvePlayers").decode(b"\x0a\0" * (MAX_FIELDS + 10)).queries) == MAX_FIELDS + 10  # type: ignore[attr-defined]  # any message
