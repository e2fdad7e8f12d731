import math
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnxruntime as ort
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

from benchmarks.messages import columns, message
from ondeck.v1.instances_pb2 import BattedBall, BattedBallColumns, Pitch, PitchColumns
from ondeck.v1.model_service_pb2 import GetModelRequest, ListModelsRequest, ModelState
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    PredictRequest,
    StreamAnswer,
    StreamPredictRequest,
)
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import correlation_id_of
from ondeck_core.instances import PITCH, Matrix
from ondeck_core.manifest import MANIFEST_FILE, Manifest
from ondeck_core.tasks import TASKS, Task
from ondeck_trainer.artifact.golden_rows import make_up_instances
from tests.fixtures.server import RunningServer

NAN = float("nan")


@pytest.fixture(scope="module")
def channel(running_server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(running_server.target, [("grpc.max_send_message_length", -1)]) as opened:
        yield opened


@pytest.fixture(scope="module")
def predictions(channel: grpc.Channel) -> PredictionServiceStub:
    return PredictionServiceStub(channel)


def spec(name: str, **choice: Any) -> ModelSpec:
    return ModelSpec(name=name, **choice)


def bare(models: Path, task: Task, instances: Matrix) -> Matrix:
    session = ort.InferenceSession(str(models / task.name / "1" / "model.onnx"))
    answer: Matrix = session.run(["probabilities"], {"features": task.features.compute(instances)})[0]
    return answer


def batch_request(task: Task, instances: Matrix) -> BatchPredictRequest:
    return BatchPredictRequest(model=spec(task.name), **{task.instance.columns_path: columns(task.instance, instances)})


def predict_request(task: Task, row: Matrix) -> PredictRequest:
    return PredictRequest(model=spec(task.name), **{task.instance.path: message(task.instance, row)})


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_answer_is_what_the_bare_graph_gives(
    predictions: PredictionServiceStub, small_repository: Path, task: Task
) -> None:
    rows = make_up_instances(task.instance, 40, seed=1)
    expected = bare(small_repository, task, rows)
    for row, probabilities in zip(rows, expected, strict=True):
        prediction = predictions.Predict(predict_request(task, row)).prediction
        assert tuple(each.outcome for each in prediction.outcomes) == task.outcomes
        assert [each.probability for each in prediction.outcomes] == pytest.approx(probabilities, abs=1e-6)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_batch_is_what_the_bare_graph_gives_row_by_row(
    predictions: PredictionServiceStub, small_repository: Path, task: Task
) -> None:
    rows = make_up_instances(task.instance, 5000, seed=2)
    response = predictions.BatchPredict(batch_request(task, rows))
    assert tuple(response.outcomes) == task.outcomes
    given = np.array(response.probabilities).reshape(len(rows), len(task.outcomes))
    np.testing.assert_allclose(given, bare(small_repository, task, rows), atol=1e-6)


def test_figures_follow_from_the_probabilities(predictions: PredictionServiceStub) -> None:
    row = make_up_instances(TASKS["batted_ball"].instance, 1, seed=3)
    prediction = predictions.Predict(predict_request(TASKS["batted_ball"], row[0])).prediction
    out, single, double, triple, homer = (each.probability for each in prediction.outcomes)
    figures = prediction.batted_ball
    assert figures.xba == pytest.approx(1 - out, abs=1e-6)
    assert figures.xslg == pytest.approx(single + 2 * double + 3 * triple + 4 * homer, abs=1e-5)
    assert figures.xwoba == pytest.approx(0.9 * single + 1.25 * double + 1.6 * triple + 2 * homer, abs=1e-5)


def test_the_edge_distance_is_there_only_where_the_zone_is_known(predictions: PredictionServiceStub) -> None:
    unknown = Pitch(plate_x=0, plate_z=4.5)
    known = Pitch(plate_x=0, plate_z=4.5, sz_top=3.5, sz_bot=1.5)
    answers = [
        predictions.Predict(PredictRequest(model=spec("called_strike"), pitch=pitch)).prediction
        for pitch in (known, unknown)
    ]
    assert answers[0].called_strike.edge_distance == pytest.approx(1 - 2.9 / 24)
    assert not answers[1].called_strike.HasField("edge_distance")
    assert answers[0].called_strike.strike_probability == answers[0].outcomes[1].probability


@pytest.mark.parametrize(
    ("choice", "alias"), [({}, "production"), ({"alias": "production"}, "production"), ({"version": 1}, "")]
)
def test_an_answer_names_what_gave_it(
    predictions: PredictionServiceStub, small_repository: Path, choice: dict[str, Any], alias: str
) -> None:
    manifest = Manifest.model_validate_json((small_repository / "batted_ball" / "1" / MANIFEST_FILE).read_bytes())
    request = PredictRequest(
        model=spec("batted_ball", **choice), batted_ball=BattedBall(launch_speed=100, launch_angle=20)
    )
    by = predictions.Predict(request).prediction.answered_by
    assert (by.model, by.version, by.alias, by.digest) == ("batted_ball", 1, alias, manifest.digest)


BALL = BattedBall(launch_speed=100, launch_angle=20)
REFUSED = [
    (PredictRequest(batted_ball=BALL), "INVALID_FIELD", ["model.name"]),
    (PredictRequest(model=spec("batted_ball")), "INVALID_FIELD", ["batted_ball"]),
    (PredictRequest(model=spec("called_strike"), batted_ball=BALL), "WRONG_INSTANCE", ["batted_ball"]),
    (PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0)), "INVALID_FIELD", ["pitch.plate_z"]),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=NAN, plate_z=math.inf)),
        "INVALID_FIELD",
        ["pitch.plate_x", "pitch.plate_z"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0, plate_z=2, sz_top=NAN)),
        "INVALID_FIELD",
        ["pitch.sz_top"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=NAN, sz_top=99, balls=9)),
        "INVALID_FIELD",
        ["pitch.plate_x", "pitch.plate_z", "pitch.sz_top", "pitch.balls"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=99, plate_z=2)),
        "INVALID_FIELD",
        ["pitch.plate_x"],
    ),
    (
        PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0, plate_z=2, balls=4, strikes=3)),
        "INVALID_FIELD",
        ["pitch.balls", "pitch.strikes"],
    ),
    (
        PredictRequest(model=spec("batted_ball"), batted_ball=BattedBall(launch_speed=1, launch_angle=1, hc_x=3)),
        "INVALID_FIELD",
        ["batted_ball.hc_y"],
    ),
]


def refusal(error: Any) -> tuple[str, list[str]]:
    status = rpc_status.from_call(error)
    assert status is not None
    info, bad = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(bad)
    assert all(each.description for each in bad.field_violations)
    return info.reason, [each.field for each in bad.field_violations]


@pytest.mark.parametrize(("request_", "reason", "fields"), REFUSED)
def test_bad_input_is_refused_by_the_name_of_each_field(
    predictions: PredictionServiceStub, request_: PredictRequest, reason: str, fields: list[str]
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Predict(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(refused.value) == (reason, fields)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (BatchPredictRequest(model=spec("called_strike")), ["pitches"]),
        (BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns()), ["pitches"]),
        (
            BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(plate_x=[0, 0], plate_z=[2])),
            ["pitches.plate_z"],
        ),
        (
            BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(plate_x=[0, NAN], plate_z=[2, 2])),
            ["pitches.plate_x[1]"],
        ),
        (
            BatchPredictRequest(
                model=spec("called_strike"), pitches=PitchColumns(plate_x=[0, 0], plate_z=[2, math.inf])
            ),
            ["pitches.plate_z[1]"],
        ),
    ],
)
def test_a_bad_batch_is_refused_whole_and_names_the_rows(
    predictions: PredictionServiceStub, request_: BatchPredictRequest, fields: list[str]
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(refused.value)[1] == fields


def raw_predict(channel: grpc.Channel, request: bytes) -> None:
    call: Any = channel.unary_unary("/ondeck.v1.PredictionService/Predict")
    call(request, timeout=10)


@pytest.mark.parametrize("request_", [b"\xff\xff\xff", b"\n\x03\n\x01\xff"], ids=["no message", "no UTF-8"])
def test_bytes_that_are_no_request_are_refused_and_counted(
    channel: grpc.Channel, running_server: RunningServer, request_: bytes
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        raw_predict(channel, request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "the request is no ondeck.v1.PredictRequest" in str(refused.value.details())
    counted = 'grpc_code="INVALID_ARGUMENT",grpc_method="Predict",grpc_service="ondeck.v1.PredictionService"'
    assert any(counted in line for line in metrics(running_server))


def test_bytes_that_are_no_request_end_a_stream_as_the_callers_mistake(channel: grpc.Channel) -> None:
    call: Any = channel.stream_stream("/ondeck.v1.PredictionService/StreamPredict")
    with pytest.raises(grpc.RpcError) as refused:
        list(call(iter([b"\xff\xff\xff"]), timeout=10))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_whatever_is_wrong_the_refusal_fits_into_the_headers_of_an_answer(
    predictions: PredictionServiceStub,
) -> None:
    wild: dict[str, Any] = {field.name: [9999.0] * 500 for field in PITCH.fields if field.codes is None}
    requests: list[tuple[Any, Any, grpc.StatusCode]] = [
        (
            predictions.BatchPredict,
            BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(**wild)),
            grpc.StatusCode.INVALID_ARGUMENT,
        ),
        (predictions.Predict, PredictRequest(model=spec("x" * 20_000)), grpc.StatusCode.NOT_FOUND),
        (
            predictions.Predict,
            PredictRequest(model=spec("batted_ball", alias="é" * 5_000)),
            grpc.StatusCode.NOT_FOUND,
        ),
    ]
    for call, request, code in requests:
        for _ in range(3):
            with pytest.raises(grpc.RpcError) as refused:
                call(request, timeout=10)
            told: Any = refused.value
            assert told.code() is code
            assert sum(len(key) + len(value) + 32 for key, value in told.trailing_metadata()) < 6_000
    fields = {name.partition("[")[0] for name in refusal_of(predictions, wild)}
    assert fields == {f"pitches.{name}" for name in wild}


def refusal_of(predictions: PredictionServiceStub, columns: dict[str, Any]) -> list[str]:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(**columns)))
    return refusal(refused.value)[1]


def metrics(server: RunningServer) -> list[str]:
    with urllib.request.urlopen(f"{server.admin}/metrics", timeout=10) as response:  # noqa: S310  a page of our own
        page: bytes = response.read()
    return page.decode().splitlines()


def rows_answered(server: RunningServer) -> list[str]:
    return [line for line in metrics(server) if line.startswith("ondeck_predicted_rows_total")]


def test_a_batch_whose_answer_is_too_large_is_refused_before_it_is_run(
    predictions: PredictionServiceStub, running_server: RunningServer
) -> None:
    column = np.full(600_000, 50, dtype=np.float32).tolist()
    columns = BattedBallColumns(launch_speed=column, launch_angle=column)
    before = rows_answered(running_server)
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(BatchPredictRequest(model=spec("batted_ball"), batted_balls=columns), timeout=60)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refusal(refused.value)[1] == ["batted_balls"]
    assert "has 600000 rows; the answer to more than 381" in str(refused.value.details())
    assert rows_answered(running_server) == before


def test_nan_in_an_optional_column_means_absent(predictions: PredictionServiceStub) -> None:
    given = PitchColumns(plate_x=[0.2, 0.2], plate_z=[2, 2], sz_top=[NAN, 3.5], sz_bot=[NAN, 1.5])
    response = predictions.BatchPredict(BatchPredictRequest(model=spec("called_strike"), pitches=given))
    alone = predictions.Predict(PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0.2, plate_z=2)))
    assert response.probabilities[1] == pytest.approx(alone.prediction.outcomes[1].probability, abs=1e-6)
    assert [math.isnan(each) for each in response.called_strikes.edge_distance] == [True, False]


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (spec("home_runs"), "MODEL_NOT_FOUND"),
        (spec("batted_ball", version=7), "VERSION_NOT_FOUND"),
        (spec("batted_ball", alias="candidate"), "ALIAS_NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_not_found(channel: grpc.Channel, model: ModelSpec, reason: str) -> None:
    for call in (
        lambda: PredictionServiceStub(channel).Predict(PredictRequest(model=model, batted_ball=BALL)),
        lambda: ModelServiceStub(channel).GetModel(GetModelRequest(model=model)),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            call()
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        error: Any = refused.value
        status, info = rpc_status.from_call(error), ErrorInfo()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert info.reason == reason


def test_ten_million_rows_are_more_than_a_message_may_hold(predictions: PredictionServiceStub) -> None:
    column = np.zeros(10_000_000, dtype=np.float32).tolist()
    request = BatchPredictRequest(model=spec("called_strike"), pitches=PitchColumns(plate_x=column, plate_z=column))
    with pytest.raises(grpc.RpcError) as refused:
        predictions.BatchPredict(request)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_kind_of_pitch_of_a_later_day_counts_as_not_known(predictions: PredictionServiceStub) -> None:
    of_a_later_day: Any = 99
    without, unknown = (
        predictions.Predict(PredictRequest(model=spec("called_strike"), pitch=pitch)).prediction.outcomes[1].probability
        for pitch in (Pitch(plate_x=0.5, plate_z=2), Pitch(plate_x=0.5, plate_z=2, pitch_type=of_a_later_day))
    )
    assert without == unknown


def asked(count: int) -> Iterator[StreamPredictRequest]:
    for number in range(count):
        if number % 5 == 3:
            yield StreamPredictRequest(id=str(number), model=spec("called_strike"), pitch=Pitch(plate_x=99, plate_z=2))
        else:
            pitch = Pitch(plate_x=number / 100, plate_z=2)
            yield StreamPredictRequest(id=str(number), model=spec("called_strike"), pitch=pitch)


def test_a_stream_answers_all_in_order_and_goes_on_after_an_error(predictions: PredictionServiceStub) -> None:
    answers: list[StreamAnswer] = [
        answer for response in predictions.StreamPredict(asked(300)) for answer in response.answers
    ]
    assert [answer.id for answer in answers] == [str(number) for number in range(300)]
    for number, answer in enumerate(answers):
        if number % 5 == 3:
            assert answer.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert [violation.field for violation in answer.error.violations] == ["pitch.plate_x"]
        else:
            request = PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=number / 100, plate_z=2))
            if number % 50 == 0:
                alone = predictions.Predict(request).prediction
                assert answer.prediction.outcomes[1].probability == pytest.approx(
                    alone.outcomes[1].probability, abs=1e-6
                )
            assert answer.prediction.answered_by.model == "called_strike"


def test_a_stream_that_is_cancelled_leaves_the_server_answering(predictions: PredictionServiceStub) -> None:
    for _ in range(20):
        stream = predictions.StreamPredict(asked(50))
        next(stream)
        stream.cancel()
    assert predictions.Predict(PredictRequest(model=spec("batted_ball"), batted_ball=BALL)).prediction.outcomes


def failed_id(predictions: PredictionServiceStub) -> str:
    with pytest.raises(grpc.RpcError) as failed:
        predictions.Predict(PredictRequest(model=spec("nothing"), batted_ball=BALL))
    return correlation_id_of(failed.value)


def test_a_call_carries_its_correlation_id_back(predictions: PredictionServiceStub) -> None:
    _, call = predictions.Predict.with_call(
        PredictRequest(model=spec("batted_ball"), batted_ball=BALL), metadata=(("x-correlation-id", "mine"),)
    )
    assert ("x-correlation-id", "mine") in [(key, value) for key, value in call.trailing_metadata()]
    told = [failed_id(predictions) for _ in range(2)]
    assert all(told)
    assert told[0] != told[1]


def test_a_client_that_has_only_reflection_gets_the_same_answer(
    channel: grpc.Channel, predictions: PredictionServiceStub
) -> None:
    pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
    find: Any = pool.FindServiceByName
    method = find("ondeck.v1.PredictionService").FindMethodByName("Predict")
    request = ParseDict(
        {"model": {"name": "batted_ball"}, "batted_ball": {"launch_speed": 100, "launch_angle": 20}},
        GetMessageClass(method.input_type)(),
    )
    call: Any = channel.unary_unary(
        "/ondeck.v1.PredictionService/Predict",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    stub = predictions.Predict(PredictRequest(model=spec("batted_ball"), batted_ball=BALL))
    assert MessageToDict(call(request)) == MessageToDict(stub)


def test_models_tell_what_they_are_and_how_they_were_judged(channel: grpc.Channel, small_repository: Path) -> None:
    models = ModelServiceStub(channel).ListModels(ListModelsRequest()).models
    assert [(model.name, model.version) for model in models] == [(name, 1) for name in sorted(TASKS)]
    for model in models:
        task = TASKS[model.name]
        manifest = Manifest.model_validate_json((small_repository / model.name / "1" / MANIFEST_FILE).read_bytes())
        assert model.state == ModelState.MODEL_STATE_LOADED
        assert (model.digest, list(model.aliases)) == (manifest.digest, ["production"])
        assert tuple(model.outcomes) == task.outcomes
        assert tuple(feature.name for feature in model.features) == task.features.names
        assert model.training_window.first_day == "2022-06-01"
        assert model.evaluation.training_window.last_day < model.evaluation.evaluation_window.first_day
        predictors = {score.predictor for score in model.evaluation.scores}
        assert {"model", "constant"} <= predictors
        assert model == ModelServiceStub(channel).GetModel(GetModelRequest(model=spec(model.name))).model
