"""`ondeck models import` of exports of LightGBM, XGBoost and CatBoost: served, or refused with what helps."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, load_model_from_string

from inference.grpc_service_pb2 import ModelInferRequest
from inference.grpc_service_pb2_grpc import GRPCInferenceServiceStub
from ondeck_registry.import_onnx import publish_graph, read_graph
from ondeck_server.models.servable import load_any
from tests.factories import exported_graphs
from tests.factories.exported_graphs import (
    COLUMNS,
    catboost_graph,
    catboost_regression_graph,
    expected_probabilities,
    lightgbm_graph,
    several_inputs_graph,
    xgboost_graph,
)
from tests.factories.fitted_graphs import fitted_graph
from tests.factories.onnx_graphs import scoring_graph
from tests.fixtures.server import serving

Outputs = dict[str, NDArray[Any]]
ROWS: Final = np.linspace(-1, 1, 3 * COLUMNS, dtype=np.float32).reshape(3, COLUMNS)
STRING: Final = TensorProto.STRING
CLASSIFIERS: Final[dict[str, tuple[bytes, str, tuple[str, ...], str]]] = {
    "lightgbm": (lightgbm_graph(zipmap=False), "features", (), ""),
    "lightgbm_maps": (lightgbm_graph(zipmap=True), "features", (), "0, 1"),
    "lightgbm_names": (lightgbm_graph(zipmap=True, classes=STRING), "features", ("probabilities",), "ball, strike"),
    "xgboost": (xgboost_graph(), "input", (), ""),
    "catboost": (catboost_graph(), "features", (), "0, 1"),
    "catboost_names": (catboost_graph(STRING), "features", ("probabilities",), "ball, strike"),
}


def import_graph(tmp_path: Path, name: str, graph: bytes, *words: str) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / f"{name}.onnx"
    file.write_bytes(graph)
    command = [sys.executable, "-m", "ondeck_cli", "models", "import", name, str(file), *words]
    command += ["--model-repository", str(tmp_path / "models"), "--alias", "production"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def infer(channel: grpc.Channel, model: str, tensor: str) -> Outputs:
    request = ModelInferRequest(model_name=model, raw_input_contents=[ROWS.tobytes()])
    request.inputs.add(name=tensor, datatype="FP32", shape=ROWS.shape)
    answer = GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10)
    kinds = {"FP32": np.float32, "INT64": np.int64}
    return {
        output.name: np.frombuffer(content, kinds[output.datatype]).reshape(output.shape)
        for output, content in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


def test_every_export_serves_what_its_trees_compute(tmp_path: Path) -> None:
    for name, (graph, _, outputs, classes) in CLASSIFIERS.items():
        done = import_graph(tmp_path, name, graph, *(word for each in outputs for word in ("--output", each)))
        assert done.returncode == 0, done.stderr
        note = f"probabilities was a map; its columns are the classes {classes}"
        assert (note in done.stdout.splitlines()) == bool(classes), name
    assert import_graph(tmp_path, "regression", catboost_regression_graph()).returncode == 0
    with serving(tmp_path / "models") as server, grpc.insecure_channel(server.target) as channel:
        for name, (_, tensor, outputs, _) in CLASSIFIERS.items():
            answer = infer(channel, name, tensor)
            expected = expected_probabilities(ROWS)
            np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-6, err_msg=name)
            assert outputs or answer["label"].tolist() == expected.argmax(axis=1).tolist()
        predictions = infer(channel, "regression", "features")["predictions"]
        np.testing.assert_allclose(predictions, [[-0.5], [-0.5], [1.5]])


@pytest.mark.parametrize("model", ["boosting", "forest_of_3", "logistic", "calibrated_forest"])
def test_scikit_learn_exports_with_and_without_maps_have_the_same_probabilities(tmp_path: Path, model: str) -> None:
    rows = np.random.default_rng(5).standard_normal((40, 6)).astype(np.float32)
    outputs: list[NDArray[Any]] = []
    for number, zipmap in enumerate((False, True), 1):
        (tmp_path / "model.onnx").write_bytes(fitted_graph(model, zipmap=zipmap))
        manifest = publish_graph(tmp_path, model, read_graph(tmp_path / "model.onnx").graph)
        loaded = load_any(tmp_path / model / str(number), model, number)
        by_name = dict(zip((each.name for each in manifest.outputs), loaded.session.infer(rows), strict=True))
        outputs.append(by_name["output_probability" if zipmap else "probabilities"])
    np.testing.assert_array_equal(outputs[0], outputs[1])


def with_opset(domain: str, version: int) -> bytes:
    model = load_model_from_string(scoring_graph())
    del model.opset_import[:]
    model.opset_import.append(helper.make_opsetid(domain, version))
    content: bytes = model.SerializeToString()
    return content


def with_operator(name: str, domain: str) -> bytes:
    model = load_model_from_string(scoring_graph())
    model.graph.node.add(op_type=name, domain=domain, input=["x"], output=["other"])
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    content: bytes = model.SerializeToString()
    return content


def maps_within_a_function() -> bytes:
    """Return a graph with maps that cannot be edited."""
    model = load_model_from_string(catboost_graph())
    model.functions.add(name="unused", domain="local")
    content: bytes = model.SerializeToString()
    return content


FREE: Final = "initial_types=[('input', FloatTensorType([None, 5]))]"
REFUSED: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "labels are text": (lambda: catboost_graph(STRING), "output label is tensor(string), and only numbers are served"),
    "labels are text, the option": (lambda: catboost_graph(STRING), "import it with --output probabilities"),
    "maps that stay": (maps_within_a_function, "convert it with zipmap=False (onnxmltools)"),
    "float64 input": (
        lambda: xgboost_graph(takes=TensorProto.DOUBLE),
        f"convert it with {FREE}, or float32 sample rows",
    ),
    "int64 input": (lambda: xgboost_graph(takes=TensorProto.INT64), f"convert it with {FREE}, or float32 sample rows"),
    "one row": (
        lambda: xgboost_graph(shape=[1, 5]),
        f"convert it with {FREE}, or dynamic_axes={{'input': {{0: 'rows'}}}}",
    ),
    "no columns": (lambda: xgboost_graph(shape=[None, None]), "convert it with the number of columns"),
    "an input for each column": (several_inputs_graph, "export the model for one array with all columns"),
    "newer tree operators": (lambda: xgboost_graph(ml_opset=9), "target_opset={'': 18, 'ai.onnx.ml': 3}"),
    "newer operators": (lambda: with_opset("", 99), "convert it with older operators"),
    "newer file format": (lambda: xgboost_graph(ir=99), "save it with an older one, as model.ir_version = 10"),
    "unknown operator": (lambda: with_operator("Fancy", ""), "ONNX Runtime does not have this operator"),
    "operator of its own": (lambda: with_operator("Fancy", "com.example"), "and without operators of your own"),
    "failed export": (lambda: b"", "is empty: its export has failed"),
    "a web page": (lambda: b"<html>not found</html>", "is no ONNX file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_option_that_helps(tmp_path: Path, case: str) -> None:
    graph, message = REFUSED[case]
    done = import_graph(tmp_path, "refused", graph())
    assert (done.returncode, done.stdout) == (1, "")
    assert message in done.stderr
    assert "onnxruntime_src" not in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "models").exists()


def test_the_factories_declare_what_the_converters_declare() -> None:
    """The wrong declarations, which real exports have, are the point of these graphs."""
    label = load_model_from_string(lightgbm_graph(zipmap=False)).graph.output[0]
    assert [each.dim_value for each in label.type.tensor_type.shape.dim] == [1]
    predictions = load_model_from_string(catboost_regression_graph()).graph.output[0]
    assert len(predictions.type.tensor_type.shape.dim) == 1
    assert [each.domain for each in load_model_from_string(xgboost_graph()).opset_import] == [exported_graphs.ML]
