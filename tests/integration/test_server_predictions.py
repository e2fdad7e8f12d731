"""Predictions over the wire: every rpc returns what the bare ONNX graph gives."""

import math
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
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from benchmarks.messages import columns, message
from ondeck.v1.instances_pb2 import BattedBall, Pitch, PitchColumns
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
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MANIFEST_FILE, Manifest
from ondeck_core.tasks import TASKS, Task
from ondeck_trainer.artifact.parity import draw_instances

NAN = float("nan")
BALL = BattedBall(launch_speed=100, launch_angle=20)


def spec(name: str, **choice: Any) -> ModelSpec:
    return ModelSpec(name=name, **choice)


def run_bare_graph(models: Path, task: Task, instances: Matrix) -> Matrix:
    session = ort.InferenceSession(str(models / task.name / "1" / "model.onnx"))
    answer: Matrix = session.run(["probabilities"], {"features": task.features.compute(instances)})[0]
    return answer


def batch_request(task: Task, instances: Matrix) -> BatchPredictRequest:
    return BatchPredictRequest(model=spec(task.name), **{task.instance.columns_path: columns(task.instance, instances)})


def predict_request(task: Task, row: Matrix) -> PredictRequest:
    return PredictRequest(model=spec(task.name), **{task.instance.path: message(task.instance, row)})


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_prediction_is_what_the_bare_graph_gives(
    predictions: PredictionServiceStub, small_repository: Path, task: Task
) -> None:
    rows = draw_instances(task.instance, 40, seed=1)
    expected = run_bare_graph(small_repository, task, rows)
    for row, probabilities in zip(rows, expected, strict=True):
        prediction = predictions.Predict(predict_request(task, row)).prediction
        assert tuple(each.outcome for each in prediction.outcomes) == task.outcomes
        assert [each.probability for each in prediction.outcomes] == pytest.approx(probabilities, abs=1e-6)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_batch_is_what_the_bare_graph_gives_row_by_row(
    predictions: PredictionServiceStub, small_repository: Path, task: Task
) -> None:
    rows = draw_instances(task.instance, 5000, seed=2)
    response = predictions.BatchPredict(batch_request(task, rows))
    assert tuple(response.outcomes) == task.outcomes
    given = np.array(response.probabilities).reshape(len(rows), len(task.outcomes))
    np.testing.assert_allclose(given, run_bare_graph(small_repository, task, rows), atol=1e-6)


def test_derived_stats_follow_from_the_probabilities(predictions: PredictionServiceStub) -> None:
    row = draw_instances(TASKS["batted_ball"].instance, 1, seed=3)
    prediction = predictions.Predict(predict_request(TASKS["batted_ball"], row[0])).prediction
    out, single, double, triple, homer = (each.probability for each in prediction.outcomes)
    stats = prediction.batted_ball
    assert stats.xba == pytest.approx(1 - out, abs=1e-6)
    assert stats.xslg == pytest.approx(single + 2 * double + 3 * triple + 4 * homer, abs=1e-5)
    assert stats.xwoba == pytest.approx(0.9 * single + 1.25 * double + 1.6 * triple + 2 * homer, abs=1e-5)


def test_the_edge_distance_is_set_only_with_a_known_zone(predictions: PredictionServiceStub) -> None:
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
def test_a_prediction_names_model_version_alias_and_digest(
    predictions: PredictionServiceStub, small_repository: Path, choice: dict[str, Any], alias: str
) -> None:
    manifest = Manifest.model_validate_json((small_repository / "batted_ball" / "1" / MANIFEST_FILE).read_bytes())
    request = PredictRequest(
        model=spec("batted_ball", **choice), batted_ball=BattedBall(launch_speed=100, launch_angle=20)
    )
    by = predictions.Predict(request).prediction.answered_by
    assert (by.model, by.version, by.alias, by.digest) == ("batted_ball", 1, alias, manifest.digest)


def test_nan_in_an_optional_column_means_absent(predictions: PredictionServiceStub) -> None:
    given = PitchColumns(plate_x=[0.2, 0.2], plate_z=[2, 2], sz_top=[NAN, 3.5], sz_bot=[NAN, 1.5])
    response = predictions.BatchPredict(BatchPredictRequest(model=spec("called_strike"), pitches=given))
    single = predictions.Predict(PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=0.2, plate_z=2)))
    assert response.probabilities[1] == pytest.approx(single.prediction.outcomes[1].probability, abs=1e-6)
    assert [math.isnan(each) for each in response.called_strikes.edge_distance] == [True, False]


def test_an_unknown_pitch_type_counts_as_absent(predictions: PredictionServiceStub) -> None:
    unknown_value: Any = 99
    without, unknown = (
        predictions.Predict(PredictRequest(model=spec("called_strike"), pitch=pitch)).prediction.outcomes[1].probability
        for pitch in (Pitch(plate_x=0.5, plate_z=2), Pitch(plate_x=0.5, plate_z=2, pitch_type=unknown_value))
    )
    assert without == unknown


def stream_requests(count: int) -> Iterator[StreamPredictRequest]:
    for number in range(count):
        if number % 5 == 3:
            yield StreamPredictRequest(id=str(number), model=spec("called_strike"), pitch=Pitch(plate_x=99, plate_z=2))
        else:
            pitch = Pitch(plate_x=number / 100, plate_z=2)
            yield StreamPredictRequest(id=str(number), model=spec("called_strike"), pitch=pitch)


def test_a_stream_answers_in_order_and_continues_after_an_error(predictions: PredictionServiceStub) -> None:
    answers: list[StreamAnswer] = [
        answer for response in predictions.StreamPredict(stream_requests(300)) for answer in response.answers
    ]
    assert [answer.id for answer in answers] == [str(number) for number in range(300)]
    for number, answer in enumerate(answers):
        if number % 5 == 3:
            assert answer.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
            assert [violation.field for violation in answer.error.violations] == ["pitch.plate_x"]
        else:
            request = PredictRequest(model=spec("called_strike"), pitch=Pitch(plate_x=number / 100, plate_z=2))
            if number % 50 == 0:
                single = predictions.Predict(request).prediction
                assert answer.prediction.outcomes[1].probability == pytest.approx(
                    single.outcomes[1].probability, abs=1e-6
                )
            assert answer.prediction.answered_by.model == "called_strike"


def test_cancelled_streams_leave_the_server_serving(predictions: PredictionServiceStub) -> None:
    for _ in range(20):
        stream = predictions.StreamPredict(stream_requests(50))
        next(stream)
        stream.cancel()
    assert predictions.Predict(PredictRequest(model=spec("batted_ball"), batted_ball=BALL)).prediction.outcomes


def correlation_id_of_a_failed_call(predictions: PredictionServiceStub) -> str:
    with pytest.raises(grpc.RpcError) as failed:
        predictions.Predict(PredictRequest(model=spec("nothing"), batted_ball=BALL))
    return correlation_id_of(failed.value)


def test_a_call_returns_its_correlation_id(predictions: PredictionServiceStub) -> None:
    _, call = predictions.Predict.with_call(
        PredictRequest(model=spec("batted_ball"), batted_ball=BALL), metadata=(("x-correlation-id", "mine"),)
    )
    assert ("x-correlation-id", "mine") in [(key, value) for key, value in call.trailing_metadata()]
    generated = [correlation_id_of_a_failed_call(predictions) for _ in range(2)]
    assert all(generated)
    assert generated[0] != generated[1]


def test_a_client_with_reflection_only_gets_the_same_prediction(
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


def test_models_report_their_manifest_and_evaluation(channel: grpc.Channel, small_repository: Path) -> None:
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
