"""One slim ONNX graph for a whole ensemble: features in, calibrated probabilities and what each member says out.

skl2onnx converts the trees; what it writes around them is left away. A boosted classifier becomes one regressor of
its raw scores, a network the products of its layers, with the preparation of its input written once for all.
"""

from typing import Any, Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from ondeck_core.manifest import INPUT, MEMBERS, OUTPUT
from ondeck_trainer.model.ensemble import LEAST_LOG, Calibration, Ensemble
from ondeck_trainer.model.learners import FittedNetwork, FittedTrees
from ondeck_trainer.model.preprocessing import FURTHEST, Preprocessor

OPSET: Final = 18
ML_OPSET: Final = 3
IR_VERSION: Final = 8
SCALE: Final = "calibration/scale"
BIAS: Final = "calibration/bias"
WEIGHTS: Final = "weights"
_PREPARED: Final = "prepared"
_TWO: Final = 2
_LEAF: Final = b"LEAF"


class _Graph:
    """A graph in the making: nodes in order, constants by name."""

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
    """Write an ensemble as a graph of float32.

    `features` (n, features) to `probabilities` (n, outcomes) and `members` (n, members, outcomes).
    """
    graph = _Graph()
    raw = [_member(graph, name, member, features, outcomes) for name, member in ensemble.members.items()]
    _last_layer(graph, _what_members_say(graph, raw, outcomes), ensemble)
    made = helper.make_graph(
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
    model = helper.make_model(made, opset_imports=imports, ir_version=IR_VERSION, producer_name="ondeck")
    onnx.checker.check_model(model)
    return model


def recalibrated(model: ModelProto, calibration: Calibration) -> ModelProto:
    """Copy a graph with another calibration."""
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
        raise TypeError(f"no way is known to write a {type(member).__name__} as a graph")
    return _both(graph, raw) if outcomes == _TWO else raw


def _both(graph: _Graph, raw: str) -> str:
    """Two outcomes come as one column, how much the second outweighs the first; the first gets a nought."""
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
    """Round thresholds down to float32: rounded up, a value just above one would pass as below it."""
    trees = [tree.nodes["num_threshold"] for one_round in member.model._predictors for tree in one_round]  # noqa: SLF001  scikit-learn shows its trees nowhere else
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
    layer = _prepared(graph, member.preparation)
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


def _prepared(graph: _Graph, preparation: Preprocessor) -> str:
    if any(_PREPARED in node.output for node in graph.nodes):
        return _PREPARED
    graph.add("IsNaN", [INPUT], "gaps")
    graph.add("Where", ["gaps", graph.constant("median", preparation.median), INPUT], "filled")
    graph.add("Sub", ["filled", graph.constant("mean", preparation.mean)], "centred")
    graph.add("Mul", ["centred", graph.constant("factor", preparation.factor)], "scaled")
    limits = [graph.constant("least", -FURTHEST), graph.constant("most", FURTHEST)]
    return graph.add("Clip", ["scaled", *limits], _PREPARED)


def _what_members_say(graph: _Graph, raw: list[str], outcomes: int) -> str:
    """Stack raw scores and make them logarithms of probabilities, of shape (n, members, outcomes)."""
    side_by_side = graph.add("Concat", raw, "side_by_side", axis=1) if len(raw) > 1 else raw[0]
    shape = graph.constant("stack", [-1, len(raw), outcomes], np.int64)
    graph.add("Reshape", [side_by_side, shape], "stacked")
    graph.add("LogSoftmax", ["stacked"], "logs", axis=-1)
    graph.add("Clip", ["logs", graph.constant("least_log", LEAST_LOG)], "held")
    graph.add("Exp", ["held"], MEMBERS)
    return "held"


def _last_layer(graph: _Graph, held: str, ensemble: Ensemble) -> None:
    weights = np.array([*ensemble.weights.values()])[None, :, None]
    graph.add("Mul", [held, graph.constant(WEIGHTS, weights)], "weighed")
    graph.add("ReduceSum", ["weighed", graph.constant("over_members", [1], np.int64)], "pooled", keepdims=0)
    graph.add("Mul", ["pooled", graph.constant(SCALE, ensemble.calibration.scale)], "stretched")
    graph.add("Add", ["stretched", graph.constant(BIAS, ensemble.calibration.bias)], "shifted")
    graph.add("Softmax", ["shifted"], OUTPUT, axis=-1)
