"""Graphs as the converters of LightGBM, XGBoost and CatBoost write them, of one small tree."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto, helper

COLUMNS: Final = 5
THRESHOLD: Final = 0.25  # of the first column
ML: Final = "ai.onnx.ml"
LABELS: Final[Mapping[int, dict[str, Any]]] = {
    TensorProto.INT64: {"classlabels_int64s": [0, 1]},
    TensorProto.STRING: {"classlabels_strings": ["ball", "strike"]},
}
_SCORES: Final = (-0.5, 1.5)  # of the second class, at or below the threshold and above it
_SINGLE: Final = ("label", TensorProto.INT64, [1])  # as onnxmltools declares the labels of any number of rows


def expected_probabilities(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of both classes, of shape (rows, 2)."""
    second = 1 / (1 + np.exp(-np.where(rows[:, 0] > THRESHOLD, _SCORES[1], _SCORES[0])))
    return np.stack([1 - second, second], axis=1).astype(np.float32)


def lightgbm_graph(*, zipmap: bool, classes: int = TensorProto.INT64) -> bytes:
    """Return what onnxmltools.convert_lightgbm writes: a label that is declared for one row."""
    copies = [helper.make_node("Identity", ["raw"], ["copied"]), helper.make_node("Identity", ["lgbmlabel"], ["label"])]
    labels = (_SINGLE[0], classes, _SINGLE[2])
    if zipmap:
        nodes = [_classifier("lgbmlabel", "raw", classes), *copies, _zip_map("copied", "probabilities", classes)]
        return _model(nodes, [_tensor(*labels), _maps("probabilities", classes)], {"": 9, ML: 1}, ir=4)
    scaled = helper.make_node("Mul", ["copied", "one"], ["probabilities"])
    nodes = [_classifier("lgbmlabel", "raw", classes), *copies, scaled]
    outputs = [_tensor(*labels), _tensor("probabilities", TensorProto.FLOAT, [None, 2])]
    return _model(nodes, outputs, {"": 9, ML: 1}, ir=4, constants=[helper.make_tensor("one", 1, [], [1.0])])


def xgboost_graph(*, ml_opset: int = 1, ir: int = 8, takes: int = TensorProto.FLOAT, shape: Any = (None, 5)) -> bytes:
    """Return what onnxmltools.convert_xgboost writes: one node, and no operators of ONNX itself."""
    outputs = [_tensor("label", TensorProto.INT64, [None]), _tensor("probabilities", TensorProto.FLOAT, [None, 2])]
    nodes = [_classifier("label", "probabilities", TensorProto.INT64, "input")]
    return _model(nodes, outputs, {ML: ml_opset}, ir=ir, inputs=[_tensor("input", takes, shape)])


def catboost_graph(classes: int = TensorProto.INT64) -> bytes:
    """Return what save_model(format="onnx") of a classifier writes: the probabilities are maps, without an option."""
    nodes = [
        _classifier("label", "probability_tensor", classes),
        _zip_map("probability_tensor", "probabilities", classes),
    ]
    return _model(nodes, [_tensor("label", classes, ["N"]), _maps("probabilities", classes)], {ML: 2}, ir=3)


def catboost_regression_graph() -> bytes:
    """Return what save_model(format="onnx") of a regressor writes: one column that is declared as none."""
    nodes = [
        helper.make_node(
            "TreeEnsembleRegressor",
            ["features"],
            ["predictions"],
            domain=ML,
            n_targets=1,
            post_transform="NONE",
            target_ids=[0, 0],
            target_nodeids=[1, 2],
            target_treeids=[0, 0],
            target_weights=[_SCORES[1], _SCORES[0]],
            **_TREE,
        )
    ]
    return _model(nodes, [_tensor("predictions", TensorProto.FLOAT, ["N"])], {ML: 2}, ir=3)


def several_inputs_graph() -> bytes:
    """Return what skl2onnx writes for a table: an input for each column."""
    names = [f"column_{number}" for number in range(COLUMNS)]
    nodes = [
        helper.make_node("Concat", names, ["features"], axis=1),
        _classifier("label", "probabilities", TensorProto.INT64),
    ]
    outputs = [_tensor("label", TensorProto.INT64, [None]), _tensor("probabilities", TensorProto.FLOAT, [None, 2])]
    inputs = [_tensor(name, TensorProto.FLOAT, [None, 1]) for name in names]
    return _model(nodes, outputs, {"": 11, ML: 1}, ir=10, inputs=inputs)


_TREE: Final[dict[str, Any]] = {
    "nodes_treeids": [0, 0, 0],
    "nodes_nodeids": [0, 1, 2],
    "nodes_featureids": [0, 0, 0],
    "nodes_modes": ["BRANCH_GT", "LEAF", "LEAF"],
    "nodes_values": [THRESHOLD, 0.0, 0.0],
    "nodes_truenodeids": [1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0],
    "nodes_missing_value_tracks_true": [0, 0, 0],
}


def _classifier(label: str, probabilities: str, classes: int, features: str = "features") -> NodeProto:
    return helper.make_node(
        "TreeEnsembleClassifier",
        [features],
        [label, probabilities],
        domain=ML,
        post_transform="LOGISTIC",
        class_ids=[0, 0],
        class_nodeids=[1, 2],
        class_treeids=[0, 0],
        class_weights=[_SCORES[1], _SCORES[0]],
        **_TREE,
        **LABELS[classes],
    )


def _zip_map(tensor: str, output: str, classes: int) -> NodeProto:
    return helper.make_node("ZipMap", [tensor], [output], domain=ML, **LABELS[classes])


def _tensor(name: str, kind: int, shape: Any) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _maps(name: str, classes: int) -> ValueInfoProto:
    kind = TypeProto()
    kind.sequence_type.elem_type.map_type.key_type = classes
    kind.sequence_type.elem_type.map_type.value_type.tensor_type.elem_type = TensorProto.FLOAT
    return helper.make_value_info(name, kind)


def _model(
    nodes: list[NodeProto],
    outputs: list[ValueInfoProto],
    opsets: Mapping[str, int],
    *,
    ir: int,
    inputs: list[ValueInfoProto] | None = None,
    constants: Any = (),
) -> bytes:
    takes = inputs or [_tensor("features", TensorProto.FLOAT, ["N", COLUMNS])]
    graph = helper.make_graph(nodes, "exported", takes, outputs, constants)
    model: ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()], ir_version=ir
    )
    content: bytes = model.SerializeToString()
    return content
