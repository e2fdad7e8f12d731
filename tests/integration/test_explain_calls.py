"""Explanations over the wire, compared with the served graph of small models."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from benchmarks.messages import message
from ondeck.v1.instances_pb2 import BattedBall, Pitch, Side
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import ExplainRequest, ExplainResponse, PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import Background
from ondeck_core.tasks import TASKS, Task
from ondeck_server.models.servable import load
from ondeck_trainer.artifact.parity import draw_instances
from tests.fixtures.explain import UNEXPLAINED, add_background, sample_background
from tests.fixtures.server import RunningServer

BALL = BattedBall(launch_speed=100, launch_angle=20, spray_angle=-10, stand=Side.SIDE_LEFT)


@pytest.fixture(scope="module")
def predictions(explaining_server: RunningServer) -> Iterator[PredictionServiceStub]:
    with grpc.insecure_channel(explaining_server.target) as channel:
        yield PredictionServiceStub(channel)


def explain_request(task: Task, row: Matrix, **more: Any) -> ExplainRequest:
    instance = {task.instance.path: message(task.instance, row)}
    return ExplainRequest(model=ModelSpec(name=task.name), **instance, **more)


def explain_ball_request(ball: BattedBall, outcome: str = "", **choice: Any) -> ExplainRequest:
    return ExplainRequest(model=ModelSpec(name="batted_ball", **choice), batted_ball=ball, outcome=outcome)


def by_field(response: ExplainResponse) -> dict[str, float]:
    return {each.field: each.contribution for each in response.contributions}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_contributions_add_up_from_the_base_rate_to_the_probability(
    predictions: PredictionServiceStub, task: Task
) -> None:
    for row in draw_instances(task.instance, 12, seed=5):
        for outcome in ("", *task.outcomes):
            response = predictions.Explain(explain_request(task, row, outcome=outcome))
            added = sum(each.contribution for each in response.contributions)
            assert response.base_rate + added == pytest.approx(response.probability, abs=1e-6)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_probability_is_that_of_predict_and_the_base_rate_that_of_the_background(
    predictions: PredictionServiceStub, explaining_repository: Path, task: Task
) -> None:
    version = load(explaining_repository / task.name / "1", task.name, 1)
    assert version.background is not None
    base_rates = version.predict_proba(version.background).astype(np.float64).mean(axis=0)
    for row in draw_instances(task.instance, 6, seed=6):
        request = PredictRequest(model=ModelSpec(name=task.name), **{task.instance.path: message(task.instance, row)})
        predicted = predictions.Predict(request).prediction
        response = predictions.Explain(explain_request(task, row))
        likeliest = max(predicted.outcomes, key=lambda each: each.probability)
        assert response.outcome == likeliest.outcome
        assert response.probability == pytest.approx(likeliest.probability, abs=1e-6)
        if response.background_rows == len(version.background):
            assert response.base_rate == pytest.approx(base_rates[task.outcomes.index(response.outcome)], abs=1e-6)
        assert [each.outcome for each in response.prediction.outcomes] == list(task.outcomes)
        assert response.prediction.answered_by == predicted.answered_by


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_fields_are_ordered_by_contribution_with_proto_names_and_values(
    predictions: PredictionServiceStub, task: Task
) -> None:
    row = draw_instances(task.instance, 1, seed=7)[0]
    response = predictions.Explain(explain_request(task, row))
    sizes = [abs(each.contribution) for each in response.contributions]
    assert sizes == sorted(sizes, reverse=True)
    for each in response.contributions:
        value = each.value if each.HasField("value") else np.nan
        assert value == pytest.approx(float(row[task.instance.index(each.field)]), abs=1e-6, nan_ok=True)
    if response.exact:
        assert not any(each.standard_error for each in response.contributions)


def test_many_fields_are_explained_with_their_standard_errors(
    predictions: PredictionServiceStub,
) -> None:
    row = draw_instances(TASKS["called_strike"].instance, 1, seed=8)[0]
    many = predictions.Explain(explain_request(TASKS["called_strike"], row))
    assert not many.exact
    assert any(each.standard_error for each in many.contributions)


def test_an_unset_field_has_a_contribution_and_no_value(
    predictions: PredictionServiceStub,
) -> None:
    response = predictions.Explain(explain_ball_request(BattedBall(launch_speed=100, launch_angle=20)))
    unset = {each.field for each in response.contributions if not each.HasField("value")}
    assert {"spray_angle", "stand"} <= unset


def test_the_spray_direction_is_one_field_in_either_form(predictions: PredictionServiceStub) -> None:
    by_place = predictions.Explain(
        explain_ball_request(BattedBall(launch_speed=95, launch_angle=15, hc_x=175.42, hc_y=148.27))
    )
    by_angle = predictions.Explain(explain_ball_request(BattedBall(launch_speed=95, launch_angle=15, spray_angle=45)))
    assert by_field(by_place) == pytest.approx(by_field(by_angle), abs=1e-5)
    assert not {"hc_x", "hc_y"} & set(by_field(by_place))
    value = next(each.value for each in by_place.contributions if each.field == "spray_angle")
    assert value == pytest.approx(45, abs=1e-3)


def test_concurrent_requests_do_not_change_an_explanation(predictions: PredictionServiceStub) -> None:
    row = draw_instances(TASKS["called_strike"].instance, 1, seed=9)[0]
    request = explain_request(TASKS["called_strike"], row)
    single = predictions.Explain(request)
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(predictions.Explain, [request] * 16))
    for each in together:
        assert by_field(each) == pytest.approx(by_field(single), abs=1e-5)


def test_the_explained_outcome_can_be_chosen(predictions: PredictionServiceStub) -> None:
    response = predictions.Explain(explain_ball_request(BALL, "triple"))
    assert response.outcome == "triple"
    assert response.probability == pytest.approx(response.prediction.outcomes[3].probability)


def status_of(error: Any) -> Status:
    status = rpc_status.from_call(error)
    assert isinstance(status, Status)
    return status


REFUSED = [
    (explain_ball_request(BALL, "walk"), "INVALID_ARGUMENT", "INVALID_FIELD", ["outcome"]),
    (explain_ball_request(BattedBall(launch_speed=999), "walk"), "INVALID_ARGUMENT", "INVALID_FIELD", 3),
    (ExplainRequest(model=ModelSpec(name="batted_ball")), "INVALID_ARGUMENT", "INVALID_FIELD", ["batted_ball"]),
    (ExplainRequest(model=ModelSpec(name="unknown"), batted_ball=BALL), "NOT_FOUND", "MODEL_NOT_FOUND", []),
    (
        ExplainRequest(model=ModelSpec(name="batted_ball"), pitch=Pitch(plate_x=0, plate_z=2)),
        "INVALID_ARGUMENT",
        "WRONG_INSTANCE",
        ["pitch"],
    ),
    (explain_ball_request(BALL, alias=UNEXPLAINED), "FAILED_PRECONDITION", "NOT_EXPLAINABLE", []),
]


@pytest.mark.parametrize(("request_", "code", "reason", "fields"), REFUSED, ids=[row[2] for row in REFUSED])
def test_an_impossible_explanation_is_refused_as_in_the_error_table(
    predictions: PredictionServiceStub, request_: ExplainRequest, code: str, reason: str, fields: list[str] | int
) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Explain(request_)
    status = status_of(refused.value)
    info, bad = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info)
    assert (grpc.StatusCode[code].value[0], info.reason) == (status.code, reason)
    violations = [each.field for detail in status.details if detail.Unpack(bad) for each in bad.field_violations]
    assert violations == fields or len(violations) == fields


def test_an_unknown_outcome_is_refused_with_the_valid_ones(predictions: PredictionServiceStub) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        predictions.Explain(explain_ball_request(BALL, "walk"))
    text = status_of(refused.value).message
    assert "must be one of out, single, double, triple, home_run, or empty, got 'walk'" in text


def test_a_version_without_a_background_still_predicts(predictions: PredictionServiceStub) -> None:
    request = PredictRequest(model=ModelSpec(name="batted_ball", alias=UNEXPLAINED), batted_ball=BALL)
    assert predictions.Predict(request).prediction.answered_by.version == 2


def encode_background(background: Background, **update: object) -> bytes:
    return background.model_copy(update=update).model_dump_json().encode()


def test_an_invalid_background_keeps_its_version_from_loading(explaining_repository: Path, tmp_path: Path) -> None:
    task = TASKS["called_strike"]
    good = sample_background(task)
    outlier = (99.0, *good.instances[0][1:])
    for content, reason in (
        (encode_background(good, fields=good.fields[1:]), "contains no instances of Pitch"),
        (
            encode_background(good, instances=(good.instances[0], good.instances[1][1:])),
            "contains no instances of Pitch",
        ),
        (encode_background(good, instances=(good.instances[0], outlier)), "invalid in a request"),
        (encode_background(good, instances=good.instances[:1]), "background.json: instances"),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        copied = folder / "1"
        folder.mkdir()
        copied.mkdir()
        for path in (explaining_repository / task.name / "1").iterdir():
            (copied / path.name).write_bytes(path.read_bytes())
        add_background(copied, task, content)
        with pytest.raises(ArtifactRefusedError, match=reason):
            load(copied, task.name, 1)
