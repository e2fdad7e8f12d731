"""One ONNX graph for a whole ensemble: features in, calibrated probabilities out, nothing else."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType

from ondeck_core.manifest import INPUT, OUTPUT
from ondeck_trainer.ensemble import LEAST_PROBABILITY, Ensemble

OPSET: Final = 18
ML_OPSET: Final = 3
IR_VERSION: Final = 8


def export(ensemble: Ensemble, features: int, outcomes: int) -> ModelProto:
    """Write an ensemble as a graph: `features` float32 (n, features) to `probabilities` float32 (n, outcomes)."""
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    votes = []
    for name, member in ensemble.members.items():
        graph = _member_graph(member, name, features)
        nodes += graph.node
        constants += graph.initializer
        votes.append((f"{name}/probabilities", ensemble.weights[name]))
    nodes += _vote(votes, constants)
    nodes += _calibration(ensemble, constants)
    needed = _needed(nodes, OUTPUT)
    used = {value for node in needed for value in node.input}
    graph = helper.make_graph(
        needed,
        "ensemble",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, features])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, outcomes])],
        [constant for constant in constants if constant.name in used],
    )
    imports = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION, producer_name="ondeck")
    onnx.checker.check_model(model)
    return model


def _member_graph(member: Any, name: str, features: int) -> onnx.GraphProto:  # noqa: ANN401  any scikit-learn classifier
    converted = convert_sklearn(
        member,
        initial_types=[(INPUT, FloatTensorType([None, features]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        options={id(_classifier(member)): {"zipmap": False}},
    )
    graph = onnx.compose.add_prefix(converted, f"{name}/").graph
    for node in graph.node:
        for position, value in enumerate(node.input):
            if value == f"{name}/{INPUT}":
                node.input[position] = INPUT
    return graph


def _classifier(member: Any) -> Any:  # noqa: ANN401  any scikit-learn classifier
    return member.steps[-1][1] if hasattr(member, "steps") else member


def _vote(votes: list[tuple[str, float]], constants: list[TensorProto]) -> list[NodeProto]:
    nodes = []
    for source, weight in votes:
        constants.append(_constant(f"{source}/weight", [weight]))
        nodes.append(helper.make_node("Mul", [source, f"{source}/weight"], [f"{source}/weighted"]))
    nodes.append(helper.make_node("Sum", [f"{source}/weighted" for source, _ in votes], ["vote"]))
    return nodes


def _calibration(ensemble: Ensemble, constants: list[TensorProto]) -> list[NodeProto]:
    constants += [
        _constant("vote/least", LEAST_PROBABILITY),
        _constant("vote/most", 1.0),
        _constant("calibration/scale", ensemble.calibration.scale),
        _constant("calibration/bias", ensemble.calibration.bias),
    ]
    return [
        helper.make_node("Clip", ["vote", "vote/least", "vote/most"], ["vote/held"]),
        helper.make_node("Log", ["vote/held"], ["vote/log"]),
        helper.make_node("Mul", ["vote/log", "calibration/scale"], ["vote/scaled"]),
        helper.make_node("Add", ["vote/scaled", "calibration/bias"], ["vote/shifted"]),
        helper.make_node("Softmax", ["vote/shifted"], [OUTPUT], axis=-1),
    ]


def _constant(name: str, values: Any) -> TensorProto:  # noqa: ANN401  anything numpy takes
    return numpy_helper.from_array(np.asarray(values, dtype=np.float32), name)


def _needed(nodes: Iterable[NodeProto], output: str) -> list[NodeProto]:
    """Keep the nodes that the output depends on; the label outputs of the members lead nowhere."""
    wanted, kept = {output}, []
    for node in reversed(list(nodes)):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]
