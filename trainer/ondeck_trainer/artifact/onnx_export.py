"""Export of an ensemble as one ONNX graph: features in, calibrated probabilities and those of each member out.

skl2onnx converts the trees; the nodes that it adds around them are dropped. A boosted classifier becomes one
TreeEnsembleRegressor of its raw scores, a network its Gemm nodes; all networks share one preprocessing subgraph.
"""

from typing import Any, Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from ondeck_core.manifest import INPUT, MEMBERS, OUTPUT
from ondeck_trainer.model.ensemble import MIN_LOG, Calibration, Ensemble
from ondeck_trainer.model.learners import CLIP, FittedNetwork, FittedTrees, Preprocessor

OPSET: Final = 18
ML_OPSET: Final = 3
IR_VERSION: Final = 8
SCALE: Final = "calibration/scale"
BIAS: Final = "calibration/bias"
WEIGHTS: Final = "weights"
_PREPROCESSED: Final = "prepared"
_TWO: Final = 2
_LEAF: Final = b"LEAF"


class _Graph:
    """A graph under construction: nodes in order, initializers by name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:  # noqa: ANN401  ONNX's own
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, values: Any, kind: Any = np.float32) -> str:  # noqa: ANN401  anything numpy takes
        self.constants[name] = numpy_helper.from_array(np.asarray(values, dtype=kind), name)
        return name


def export(ensemble: Ensemble, features: int, outcomes: int) -> ModelProto:
    """Export an ensemble as a float32 graph.

    Input `features` (n, features), outputs `probabilities` (n, outcomes) and `members` (n, members, outcomes).
    """
    graph = _Graph()
    raw = [_member(graph, name, member, features, outcomes) for name, member in ensemble.members.items()]
    _calibrated_pool(graph, _member_logs(graph, raw, outcomes), ensemble)
    built = helper.make_graph(
        graph.nodes,
        "ensemble",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [
            helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, outcomes]),
            helper.make_tensor_value_info(MEMBERS, TensorProto.FLOAT, [None, len(raw), outcomes]),
        ],
        [*graph.constants.values()],
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(built, opset_imports=imports, ir_version=IR_VERSION, producer_name="ondeck")
    onnx.checker.check_model(model)
    return model


def replace_calibration(model: ModelProto, calibration: Calibration) -> ModelProto:
    """Return a copy of a graph with another calibration."""
    other = ModelProto()
    other.CopyFrom(model)
    for constant in other.graph.initializer:
        values = {SCALE: calibration.scale, BIAS: calibration.bias}.get(constant.name)
        if values is not None:
            constant.CopyFrom(numpy_helper.from_array(np.asarray(values, dtype=np.float32), constant.name))
    return other


def _member(graph: _Graph, name: str, member: object, features: int, outcomes: int) -> str:
    if isinstance(member, FittedTrees):
        raw = _trees(graph, name, member, features, outcomes)
    elif isinstance(member, FittedNetwork):
        raw = _network(graph, name, member)
    else:
        raise TypeError(f"a {type(member).__name__} cannot be exported to ONNX")
    return _two_columns(graph, raw) if outcomes == _TWO else raw


def _two_columns(graph: _Graph, raw: str) -> str:
    """Add a zero column for the first outcome, since the raw score of two outcomes is the logit of the second."""
    padding = graph.constant("padding", [0, 1, 0, 0], np.int64)
    return graph.add("Pad", [raw, padding], f"{raw}/both")


def _trees(graph: _Graph, name: str, member: FittedTrees, features: int, outcomes: int) -> str:
    converted = convert_sklearn(
        member.model,
        initial_types=[(INPUT, FloatTensorType([None, features]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options={id(member.model): {"zipmap": False}},
    )
    trees = next(node for node in converted.graph.node if node.op_type == "TreeEnsembleClassifier")
    written = {each.name: helper.get_attribute_value(each) for each in trees.attribute}
    kept = {key: value for key, value in written.items() if key.startswith("nodes_") or key == "base_values"}
    kept["nodes_values"] = _thresholds(member, written)
    leaves = {f"target_{key}": written[f"class_{key}"] for key in ("ids", "nodeids", "treeids", "weights")}
    targets = 1 if outcomes == _TWO else outcomes
    return graph.add(
        "TreeEnsembleRegressor", [INPUT], f"{name}/raw", domain="ai.onnx.ml", n_targets=targets, **kept, **leaves
    )


def _thresholds(member: FittedTrees, written: dict[str, Any]) -> list[float]:
    """Round thresholds down to float32: rounded up, a value just above the threshold would take the other branch."""
    trees = [tree.nodes["num_threshold"] for iteration in member.model._predictors for tree in iteration]  # noqa: SLF001  scikit-learn has no public access to its trees
    exact = np.array(
        [
            trees[tree][node] if mode != _LEAF else 0.0
            for tree, node, mode in zip(
                written["nodes_treeids"], written["nodes_nodeids"], written["nodes_modes"], strict=True
            )
        ]
    )
    rounded = exact.astype(np.float32)
    down: list[float] = np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded).tolist()
    return down


def _network(graph: _Graph, name: str, member: FittedNetwork) -> str:
    layer = _preprocessed(graph, member.preprocessor)
    last = len(member.layers) - 1
    for index, (weights, bias) in enumerate(member.layers):
        parameters = [
            graph.constant(f"{name}/{index}/weights", weights),
            graph.constant(f"{name}/{index}/bias", bias),
        ]
        layer = graph.add("Gemm", [layer, *parameters], f"{name}/raw" if index == last else f"{name}/{index}")
        if index < last:
            layer = graph.add("Relu", [layer], f"{name}/{index}/rectified")
    return layer


def _preprocessed(graph: _Graph, preprocessor: Preprocessor) -> str:
    if any(_PREPROCESSED in node.output for node in graph.nodes):
        return _PREPROCESSED
    graph.add("IsNaN", [INPUT], "gaps")
    graph.add("Where", ["gaps", graph.constant("median", preprocessor.median), INPUT], "filled")
    graph.add("Sub", ["filled", graph.constant("mean", preprocessor.mean)], "centred")
    graph.add("Mul", ["centred", graph.constant("factor", preprocessor.factor)], "scaled")
    limits = [graph.constant("least", -CLIP), graph.constant("most", CLIP)]
    return graph.add("Clip", ["scaled", *limits], _PREPROCESSED)


def _member_logs(graph: _Graph, raw: list[str], outcomes: int) -> str:
    """Stack raw scores and turn them into log probabilities of shape (n, members, outcomes)."""
    side_by_side = graph.add("Concat", raw, "side_by_side", axis=1) if len(raw) > 1 else raw[0]
    shape = graph.constant("stack", [-1, len(raw), outcomes], np.int64)
    graph.add("Reshape", [side_by_side, shape], "stacked")
    graph.add("LogSoftmax", ["stacked"], "logs", axis=-1)
    graph.add("Clip", ["logs", graph.constant("least_log", MIN_LOG)], "held")
    graph.add("Exp", ["held"], MEMBERS)
    return "held"


def _calibrated_pool(graph: _Graph, logs: str, ensemble: Ensemble) -> None:
    weights = np.array([*ensemble.weights.values()])[None, :, None]
    graph.add("Mul", [logs, graph.constant(WEIGHTS, weights)], "weighed")
    graph.add("ReduceSum", ["weighed", graph.constant("over_members", [1], np.int64)], "pooled", keepdims=0)
    graph.add("Mul", ["pooled", graph.constant(SCALE, ensemble.calibration.scale)], "stretched")
    graph.add("Add", ["stretched", graph.constant(BIAS, ensemble.calibration.bias)], "shifted")
    graph.add("Softmax", ["shifted"], OUTPUT, axis=-1)
