"""The Open Inference Protocol with the stock tritonclient."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_status import rpc_status

from inference import grpc_service_pb2, model_config_pb2
from inference.grpc_service_pb2 import (
    ModelInferRequest,
    ModelInferResponse,
    ModelReadyRequest,
    RepositoryIndexRequest,
    RepositoryModelLoadRequest,
)
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck.v1.instances_pb2 import Pitch
from ondeck.v1.model_service_pb2 import ListModelsRequest, ModelState
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import PredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_core.instances import Matrix
from ondeck_core.manifest import MODEL_FILE, PRODUCTION
from ondeck_core.tasks import TASKS
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.repository import aliases
from ondeck_server.models.servable import load, load_any
from ondeck_trainer.artifact.parity import draw_instances
from tests.conftest import ROOT
from tests.factories.onnx_graphs import WIDTH, row_dropping_graph, scoring_graph
from tests.fixtures.server import RunningServer, serving

MODEL = "scoring"
INVALID = 7
Seen = dict[str, Any]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository of the shipped models, a graph in production and one without an alias."""
    models = tmp_path_factory.mktemp("open_inference") / "models"
    shutil.copytree(ROOT / "onnx_models", models)
    command = [sys.executable, "-m", "ondeck_cli", "models", "import", MODEL, str(models.parent / "scoring.onnx")]
    (models.parent / "scoring.onnx").write_bytes(scoring_graph())
    subprocess.run(
        [*command, "--model-repository", str(models), "--alias", "production"], check=True, capture_output=True
    )
    publish_graph(models, "unused", scoring_graph())
    return models


@pytest.fixture(scope="module")
def server(models: Path) -> Iterator[RunningServer]:
    with serving(models) as running:
        yield running


@pytest.fixture(scope="module")
def channel(server: RunningServer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.target) as opened:
        yield opened


@pytest.fixture(scope="module")
def service(channel: grpc.Channel) -> GRPCInferenceServiceStub:
    return GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def seen(server: RunningServer) -> Seen:
    """Return what the stock tritonclient received, in a process without this project's stubs."""
    program = ROOT / "tests" / "integration" / "tritonclient_program.py"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-P", str(program), server.target]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    saw: Seen = json.loads(done.stdout)
    return saw


@pytest.fixture(scope="module")
def expected(models: Path, seen: Seen) -> Matrix:
    rows = np.array(seen["rows"], dtype=np.float32)
    probabilities: Matrix = load_any(models / MODEL / "1", MODEL, 1).session.infer(rows)[0]
    return probabilities


def test_every_name_and_number_matches_the_published_protocol(seen: Seen) -> None:
    served: dict[str, list[Any]] = {}

    def fields(prefix: str, message: descriptor_pb2.DescriptorProto) -> None:
        for field in message.field:
            served[f"{prefix}{message.name}.{field.name}"] = [field.number, field.type, field.label, field.type_name]
        for nested in message.nested_type:
            fields(f"{prefix}{message.name}.", nested)

    for module in (grpc_service_pb2, model_config_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            fields("", message)
        served |= {f"{each.name}.{value.name}": [value.number] for each in file.enum_type for value in each.value}
        for rpc in file.service[0].method if file.service else ():
            served[f"{file.service[0].name}.{rpc.name}"] = [
                rpc.input_type,
                rpc.output_type,
                rpc.client_streaming,
                rpc.server_streaming,
            ]
    assert served == {name: seen["contract"].get(name) for name in served}


def test_an_unknown_model_is_not_ready_without_an_error(seen: Seen) -> None:
    assert (seen["state"]["live"], seen["state"]["ready"]) == (True, True)
    ready = {f"{MODEL}/": True, f"{MODEL}/1": True, f"{MODEL}/production": True, f"{MODEL}/9": False, "nothing/": False}
    assert seen["state"]["models"] == ready


def test_metadata_names_one_fp32_input_and_probabilities_first(seen: Seen) -> None:
    state = seen["state"]
    assert state["server"]["name"] == "ondeck"
    assert {"model_repository", "statistics", "model_configuration"} <= set(state["server"]["extensions"])
    assert state["metadata"] == {
        "name": MODEL,
        "versions": ["1"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "x", "datatype": "FP32", "shape": ["-1", str(WIDTH)]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": ["-1", "2"]},
            {"name": "label", "datatype": "INT64", "shape": ["-1"]},
            {"name": "scores", "datatype": "FP32", "shape": ["-1", "2"]},
        ],
    }
    features = len(TASKS["batted_ball"].features.names)
    assert state["of_a_task"]["inputs"] == [{"name": "features", "datatype": "FP32", "shape": ["-1", str(features)]}]
    assert [each["name"] for each in state["of_a_task"]["outputs"]] == ["probabilities", "members"]
    config = state["config"]
    assert [each.get("dims", []) for each in config["input"] + config["output"]] == [[str(WIDTH)], ["2"], [], ["2"]]


def test_a_response_is_what_the_graph_gives(seen: Seen, expected: Matrix) -> None:
    inferred = seen["inferred"]
    np.testing.assert_allclose(inferred["many"], expected, atol=1e-6)
    assert (inferred["id"], inferred["version"], inferred["order"]) == ("seven", "1", ["label", "probabilities"])
    assert inferred["label"] == expected[:3].argmax(axis=1).tolist()


def test_a_stream_answers_in_order_and_continues_after_an_error(seen: Seen, expected: Matrix) -> None:
    for number, (name, answer) in enumerate(seen["streamed"]):
        if number == INVALID:
            assert (name, "inputs[0].name" in answer) == ("error", True)
        else:
            assert name == str(number)
            np.testing.assert_allclose(answer, expected[number], atol=1e-6)


def test_the_asyncio_client_gets_the_same_responses(seen: Seen, expected: Matrix) -> None:
    alike = seen["asyncio"]
    assert alike["ready"] == [True, False]
    np.testing.assert_allclose(alike["together"], expected[: len(alike["together"])], atol=1e-6)
    assert [name for name, _ in alike["streamed"]] == [str(n) for n in range(len(alike["streamed"]))]
    np.testing.assert_allclose([p for _, p in alike["streamed"]], expected[: len(alike["streamed"])], atol=1e-6)


def test_statistics_count_rows_runs_and_failures(seen: Seen) -> None:
    (before,), (after,) = (seen["statistics"][when]["model_stats"] for when in ("before", "after"))
    gained = {name: int(after[name]) - int(before[name]) for name in ("inference_count", "execution_count")}
    assert gained == {"inference_count": 5, "execution_count": 1}
    counts, were = after["inference_stats"], before["inference_stats"]
    assert int(counts["success"]["count"]) - int(were["success"]["count"]) == 1
    assert int(counts["fail"]["count"]) - int(were["fail"]["count"]) == 1
    assert all(int(counts[name]["ns"]) > 0 for name in ("success", "fail", "queue", "compute_infer", "compute_output"))
    assert int(after["last_inference"]) > 1_600_000_000_000


@pytest.mark.parametrize(
    ("what", "status"),
    [
        ("missing model", "NOT_FOUND"),
        ("missing version", "NOT_FOUND"),
        ("missing alias", "NOT_FOUND"),
        ("sequence", "INVALID_ARGUMENT"),
        ("classification", "INVALID_ARGUMENT"),
        ("shape", "INVALID_ARGUMENT"),
        ("load with a config", "INVALID_ARGUMENT"),
        ("load what is not there", "NOT_FOUND"),
        ("shared memory", "UNIMPLEMENTED"),
    ],
)
def test_invalid_requests_are_refused_with_their_status(seen: Seen, what: str, status: str) -> None:
    assert seen["refusals"][what][0] == f"StatusCode.{status}"


def test_a_model_is_unloaded_and_loaded_again(seen: Seen) -> None:
    repository = seen["repository"]
    assert repository["before"][f"{MODEL}/1"] == ["READY", ""]
    assert repository["before"]["unused/1"] == ["READY", ""]
    index, ready, response = repository["unloaded"]
    assert (index[f"{MODEL}/1"][0], ready, response[0]) == ("UNAVAILABLE", False, "StatusCode.UNAVAILABLE")
    index, ready, response = repository["loaded"]
    assert (index[f"{MODEL}/1"], ready, response) == (["READY", ""], True, ["OK", ""])


def typed(rows: Matrix, model: str = MODEL, name: str = "x") -> ModelInferRequest:
    request = ModelInferRequest(model_name=model, id="typed")
    request.inputs.add(name=name, datatype="FP32", shape=rows.shape)
    request.inputs[0].contents.fp32_contents.extend(rows.ravel().tolist())
    return request


def test_a_request_with_typed_contents_gets_typed_contents(service: GRPCInferenceServiceStub, models: Path) -> None:
    rows = np.random.default_rng(1).standard_normal((3, WIDTH)).astype(np.float32)
    expected = load_any(models / MODEL / "1", MODEL, 1).session.infer(rows)
    answer: ModelInferResponse = service.ModelInfer(typed(rows))
    assert (answer.id, answer.model_version, len(answer.raw_output_contents)) == ("typed", "1", 0)
    probabilities, label, scores = (each.contents for each in answer.outputs)
    assert [list(each.shape) for each in answer.outputs] == [[3, 2], [3], [3, 2]]
    np.testing.assert_allclose(probabilities.fp32_contents, expected[0].ravel(), atol=1e-6)
    assert list(label.int64_contents) == expected[1].tolist()
    np.testing.assert_allclose(scores.fp32_contents, expected[2].ravel(), atol=1e-6)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_a_model_of_a_task_takes_its_features_nan_where_absent(
    service: GRPCInferenceServiceStub, models: Path, task: Any
) -> None:
    instances = draw_instances(task.instance, 20, seed=2)
    features = task.features.compute(instances)
    assert np.isnan(features).any()
    answer = service.ModelInfer(typed(features, task.name, "features"))
    number = aliases(models, task.name)[PRODUCTION]
    expected = load(models / task.name / str(number), task.name, number).predict_proba(instances)
    np.testing.assert_allclose(answer.outputs[0].contents.fp32_contents, expected.ravel(), atol=1e-6)


def refusal(call: Callable[..., Any], request: Any) -> tuple[grpc.StatusCode, str, list[str]]:
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=10)
    error: Any = refused.value
    status = rpc_status.from_call(error)
    assert status is not None
    info, bad = ErrorInfo(), BadRequest()
    for detail in status.details:
        detail.Unpack(info)
        detail.Unpack(bad)
    return error.code(), info.reason, [each.field for each in bad.field_violations]


def test_a_refusal_names_the_field(service: GRPCInferenceServiceStub) -> None:
    wrong = typed(np.zeros((1, WIDTH + 1), np.float32), name="y")
    fields = ["inputs[0].name", "inputs[0].shape"]
    assert refusal(service.ModelInfer, wrong) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD", fields)
    nameless = ModelInferRequest()
    assert refusal(service.ModelInfer, nameless)[2] == ["model_name"]
    elsewhere = RepositoryIndexRequest(repository_name="other")
    assert refusal(service.RepositoryIndex, elsewhere)[2] == ["repository_name"]
    nothing = RepositoryModelLoadRequest()
    assert refusal(service.RepositoryModelLoad, nothing)[2] == ["model_name"]


@pytest.mark.parametrize("version", ["9" * 5000, "x" * 60_000, "-1", "1.0", "\u0661"])
def test_any_unknown_version_string_is_not_found(service: GRPCInferenceServiceStub, version: str) -> None:
    assert not service.ModelReady(ModelReadyRequest(name=MODEL, version=version)).ready
    request = typed(np.zeros((1, WIDTH), np.float32))
    request.model_version = version
    assert refusal(service.ModelInfer, request)[0] is grpc.StatusCode.NOT_FOUND


def test_a_version_that_fails_verification_is_not_loaded_and_gives_the_reason(models: Path) -> None:
    broken = models.parent / "broken"
    shutil.copytree(models / "unused", broken / "unused")
    shutil.copytree(models / MODEL, broken / MODEL)
    graph = broken / "unused" / "1" / MODEL_FILE
    graph.write_bytes(graph.read_bytes() + b"\0")
    with serving(broken) as running, grpc.insecure_channel(running.target) as channel:
        service = GRPCInferenceServiceStub(channel)
        code, reason, _ = refusal(service.RepositoryModelLoad, RepositoryModelLoadRequest(model_name="unused"))
        assert (code, reason) == (grpc.StatusCode.UNAVAILABLE, "MODEL_NOT_LOADED")
        states = {each.name: each for each in service.RepositoryIndex(RepositoryIndexRequest()).models}
        assert (states["unused"].state, "SHA-256" in states["unused"].reason) == ("UNAVAILABLE", True)
        ready = service.RepositoryIndex(RepositoryIndexRequest(ready=True)).models
        assert [each.name for each in ready] == [MODEL]


def test_a_graph_that_loses_rows_is_an_internal_error_that_the_log_explains(tmp_path: Path) -> None:
    publish_graph(tmp_path / "models", "dropping", row_dropping_graph())
    with (
        serving(tmp_path / "models", log=tmp_path / "log") as running,
        grpc.insecure_channel(running.target) as channel,
    ):
        service = GRPCInferenceServiceStub(channel)
        lost = typed(np.full((2, WIDTH), 1e9, np.float32), model="dropping")
        assert refusal(service.ModelInfer, lost)[:2] == (grpc.StatusCode.INTERNAL, "INTERNAL")
        kept = service.ModelInfer(typed(np.zeros((2, WIDTH), np.float32), model="dropping"), timeout=10)
        assert list(kept.outputs[0].shape) == [2, WIDTH]
    assert "the graph returns kept of shape [0, 4], not [2, 4]" in (tmp_path / "log").read_text()


def test_the_typed_api_refuses_an_imported_graph(channel: grpc.Channel) -> None:
    request = PredictRequest(model=ModelSpec(name=MODEL), pitch=Pitch(plate_x=0))
    code, reason, fields = refusal(PredictionServiceStub(channel).Predict, request)
    assert (code, reason, fields) == (grpc.StatusCode.INVALID_ARGUMENT, "WRONG_INSTANCE", ["model.name"])
    listed = {each.name: each for each in ModelServiceStub(channel).ListModels(ListModelsRequest()).models}
    assert (listed[MODEL].state, listed[MODEL].task) == (ModelState.MODEL_STATE_LOADED, "")
    assert len(listed[MODEL].digest) == 64
