"""The client with a real server: each method, sync and async, and the details of its errors."""

import math
import re
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest

from ondeck_client import (
    AsyncClient,
    BattedBall,
    BattedBallColumns,
    Client,
    ErrorReason,
    Model,
    ModelState,
    Pitch,
    PitchColumns,
    Prediction,
    Side,
    StreamAnswer,
    correlation_id_of,
    reason_of,
    violations_of,
)
from tests.fixtures.server import RunningServer

BALL = BattedBall(launch_speed=108, launch_angle=27, spray_angle=0, stand=Side.SIDE_RIGHT)
PITCH = Pitch(plate_x=0, plate_z=2.5, sz_top=3.4, sz_bot=1.6)
OUTCOMES = ["out", "single", "double", "triple", "home_run"]


@pytest.fixture
def client(running_server: RunningServer) -> Iterator[Client]:
    with Client(running_server.target) as opened:
        yield opened


@pytest.fixture
async def async_client(running_server: RunningServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(running_server.target) as opened:
        yield opened


def probabilities(prediction: Prediction) -> list[float]:
    return [each.probability for each in prediction.outcomes]


def speeds(count: int) -> list[float]:
    return [60.0 + number % 60 for number in range(count)]


def balls(count: int) -> Iterator[tuple[str, BattedBall]]:
    for number, speed in enumerate(speeds(count)):
        yield f"ball {number}", BattedBall(launch_speed=speed, launch_angle=20)


def test_one_instance_gets_outcomes_derived_stats_and_version(client: Client) -> None:
    prediction = client.predict("batted_ball", BALL)
    assert [each.outcome for each in prediction.outcomes] == OUTCOMES
    assert math.isclose(sum(probabilities(prediction)), 1, abs_tol=1e-5)
    assert prediction.batted_ball.xba == pytest.approx(1 - probabilities(prediction)[0], abs=1e-6)
    assert (prediction.answered_by.model, prediction.answered_by.version) == ("batted_ball", 1)
    assert prediction.answered_by.alias == "production"


def test_a_pitch_is_predicted_by_the_same_method(client: Client) -> None:
    prediction = client.predict("called_strike", PITCH)
    assert [each.outcome for each in prediction.outcomes] == ["ball", "called_strike"]
    assert prediction.called_strike.strike_probability == probabilities(prediction)[1]


def test_a_version_is_named_by_number_or_alias_and_not_both(client: Client) -> None:
    by_number = client.predict("batted_ball", BALL, version=1)
    by_alias = client.predict("batted_ball", BALL, alias="production")
    assert (by_number.answered_by.alias, by_alias.answered_by.alias) == ("", "production")
    assert probabilities(by_number) == probabilities(by_alias)
    with pytest.raises(ValueError, match="exclude each other"):
        client.predict("batted_ball", BALL, version=1, alias="production")


def test_a_batch_equals_single_calls_row_by_row(client: Client) -> None:
    columns = BattedBallColumns(launch_speed=speeds(50), launch_angle=[20.0] * 50)
    answer = client.batch_predict("batted_ball", columns)
    width = len(answer.outcomes)
    assert list(answer.outcomes) == OUTCOMES
    for row in (0, 7, 49):
        single = client.predict("batted_ball", BattedBall(launch_speed=speeds(50)[row], launch_angle=20))
        assert list(answer.probabilities)[row * width : (row + 1) * width] == pytest.approx(
            probabilities(single), abs=1e-6
        )
        assert answer.batted_balls.xba[row] == pytest.approx(single.batted_ball.xba, abs=1e-6)


def test_a_stream_answers_in_order_and_continues_after_an_invalid_instance(client: Client) -> None:
    instances = [("good", BALL), ("no angle", BattedBall(launch_speed=90)), ("good again", BALL)]
    answers = list(client.stream("batted_ball", instances))
    assert [each.id for each in answers] == ["good", "no angle", "good again"]
    assert [each.WhichOneof("result") for each in answers] == ["prediction", "error", "prediction"]
    assert answers[1].error.reason == ErrorReason.ERROR_REASON_INVALID_FIELD
    assert [each.field for each in answers[1].error.violations] == ["batted_ball.launch_angle"]


def test_a_long_stream_keeps_its_order(client: Client) -> None:
    answers = list(client.stream("batted_ball", balls(2000)))
    assert [each.id for each in answers] == [name for name, _ in balls(2000)]


def test_an_answer_arrives_before_the_next_instance_is_read(client: Client) -> None:
    answered = threading.Event()

    def instances_in_turn() -> Iterator[tuple[str, BattedBall]]:
        yield "first", BALL
        assert answered.wait(10)
        yield "second", BALL

    answers_seen: list[StreamAnswer] = []
    for answer in client.stream("batted_ball", instances_in_turn()):
        answers_seen.append(answer)
        answered.set()
    assert [each.id for each in answers_seen] == ["first", "second"]


def test_an_error_of_the_instance_iterator_is_raised_after_earlier_answers(client: Client) -> None:
    def failing_instances() -> Iterator[tuple[str, BattedBall]]:
        yield "first", BALL
        raise LookupError("the radar went out")

    answers = client.stream("batted_ball", failing_instances())
    assert next(answers).id == "first"
    with pytest.raises(LookupError, match="the radar went out"):
        next(answers)


def test_closing_a_stream_early_ends_its_call_at_the_server(client: Client, running_server: RunningServer) -> None:
    left = threading.Event()

    def instances_until_closed() -> Iterator[tuple[str, BattedBall]]:
        yield "first", BALL
        left.wait(60)

    before = cancelled_streams(running_server)
    answers = client.stream("batted_ball", instances_until_closed())
    assert next(answers).id == "first"
    answers.close()
    for _ in range(100):
        if cancelled_streams(running_server) > before:
            break
        time.sleep(0.1)
    after = cancelled_streams(running_server)
    left.set()
    assert after == before + 1


def cancelled_streams(server: RunningServer) -> float:
    with urllib.request.urlopen(f"{server.admin}/metrics") as page:  # noqa: S310  the page of a local server
        text = page.read().decode()
    counted = re.findall(
        r'grpc_server_handled_total\{grpc_code="CANCELLED",grpc_method="StreamPredict",.*\} (\S+)', text
    )
    return float(counted[0]) if counted else 0.0


def test_models_are_listed_with_their_manifests(client: Client) -> None:
    listed = {each.name: each for each in client.models()}
    assert sorted(listed) == ["batted_ball", "called_strike", "pitch_outcome", "whiff"]
    assert client.model("batted_ball") == listed["batted_ball"]
    assert_loaded(listed["batted_ball"])


def assert_loaded(model: Model) -> None:
    assert model.state == ModelState.MODEL_STATE_LOADED
    assert list(model.outcomes) == OUTCOMES
    assert "production" in model.aliases


def test_a_refused_instance_has_the_reason_and_each_field(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.predict("batted_ball", BattedBall(launch_speed=900))
    assert reason_of(refused.value) == ErrorReason.ERROR_REASON_INVALID_FIELD
    assert {each.field: each.description for each in violations_of(refused.value)} == {
        "batted_ball.launch_speed": "must be a number from 0 to 130 (mph), got 900",
        "batted_ball.launch_angle": "is required: a number from -90 to 90 (degrees)",
    }
    assert correlation_id_of(refused.value) != ""


def test_an_unknown_model_has_its_reason_and_no_fields(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.predict("crystal_ball", BALL)
    assert reason_of(refused.value) == ErrorReason.ERROR_REASON_MODEL_NOT_FOUND
    assert violations_of(refused.value) == []


def test_columns_of_another_instance_type_are_refused(client: Client) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        client.batch_predict("batted_ball", PitchColumns(plate_x=[0], plate_z=[2.5]))
    assert reason_of(refused.value) == ErrorReason.ERROR_REASON_WRONG_INSTANCE


def test_a_batch_above_the_send_limit_is_not_sent(running_server: RunningServer) -> None:
    columns = BattedBallColumns(launch_speed=speeds(1000), launch_angle=[20.0] * 1000)
    with Client(running_server.target, max_message_bytes=1000) as small, pytest.raises(grpc.RpcError) as refused:
        small.batch_predict("batted_ball", columns)
    assert "StatusCode.RESOURCE_EXHAUSTED" in repr(refused.value)


async def test_the_async_client_returns_what_the_sync_one_does(async_client: AsyncClient, client: Client) -> None:
    assert await async_client.predict("batted_ball", BALL) == client.predict("batted_ball", BALL)
    assert await async_client.models() == client.models()
    assert await async_client.model("called_strike") == client.model("called_strike")
    columns = BattedBallColumns(launch_speed=speeds(10), launch_angle=[20.0] * 10)
    assert await async_client.batch_predict("batted_ball", columns) == client.batch_predict("batted_ball", columns)


async def test_an_async_stream_takes_plain_and_async_iterables_and_keeps_order(async_client: AsyncClient) -> None:
    async def async_instances() -> AsyncIterator[tuple[str, BattedBall]]:
        for each in balls(500):
            yield each

    expected = [name for name, _ in balls(500)]
    assert [answer.id async for answer in async_client.stream("batted_ball", balls(500))] == expected
    assert [answer.id async for answer in async_client.stream("batted_ball", async_instances())] == expected


async def test_an_error_of_the_async_iterator_is_raised_after_earlier_answers(
    async_client: AsyncClient,
) -> None:
    async def failing_instances() -> AsyncIterator[tuple[str, BattedBall]]:
        yield "first", BALL
        raise LookupError("the radar went out")

    answers = async_client.stream("batted_ball", failing_instances())
    assert (await anext(answers)).id == "first"
    with pytest.raises(LookupError, match="the radar went out"):
        await anext(answers)


async def test_async_errors_have_the_same_details(async_client: AsyncClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await async_client.predict("called_strike", Pitch(plate_x=math.nan, plate_z=2.5))
    assert reason_of(refused.value) == ErrorReason.ERROR_REASON_INVALID_FIELD
    assert [each.field for each in violations_of(refused.value)] == ["pitch.plate_x"]
    assert correlation_id_of(refused.value) != ""
