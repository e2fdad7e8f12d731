"""Small ONNX graphs that belong to no task, as a user might import them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, load_model_from_string, numpy_helper

WIDTH: Final = 4
OPSET: Final = 18
IR: Final = 8
_WEIGHTS: Final = np.array([[0.5, -0.5], [1.0, 0.0], [0.0, 1.0], [-0.25, 0.25]], dtype=np.float32)

Shape = Sequence[int | str]


def scoring_graph() -> bytes:
    """Return a graph with outputs label, scores and probabilities (softmax); NaN in, NaN out."""
    nodes = [
        helper.make_node("MatMul", ["x", "weights"], ["scores"]),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
    ]
    outputs: dict[str, tuple[int, Shape]] = {
        "label": (TensorProto.INT64, ["rows"]),
        "scores": (TensorProto.FLOAT, ["rows", 2]),
        "probabilities": (TensorProto.FLOAT, ["rows", 2]),
    }
    return _graph(nodes, outputs)


def batch_dependent_graph() -> bytes:
    """Return a graph that subtracts the mean over the batch from each row."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "rows"], ["mean"], keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["apart"]),
    ]
    return _graph(nodes, {"apart": (TensorProto.FLOAT, ["rows", WIDTH])})


def fixed_batch_graph() -> bytes:
    """Return a graph that accepts exactly two rows."""
    nodes = [helper.make_node("Identity", ["x"], ["same"])]
    return _graph(nodes, {"same": (TensorProto.FLOAT, [2, WIDTH])}, takes=[2, WIDTH])


def single_row_graph() -> bytes:
    """Return a graph whose output has one row for any batch."""
    nodes = [helper.make_node("ReduceMean", ["x", "rows"], ["mean"], keepdims=1)]
    return _graph(nodes, {"mean": (TensorProto.FLOAT, [1, WIDTH])})


def row_dropping_graph() -> bytes:
    """Return a graph with outputs that lack each row whose sum is above a million, and otherwise equal the input."""
    nodes = [
        helper.make_node("ReduceSum", ["x", "columns"], ["sum"], keepdims=0),
        helper.make_node("LessOrEqual", ["sum", "limit"], ["is_kept"]),
        helper.make_node("Compress", ["x", "is_kept"], ["kept"], axis=0),
    ]
    return _graph(nodes, {"kept": (TensorProto.FLOAT, ["rows", WIDTH])})


def _graph(nodes: list[NodeProto], outputs: dict[str, tuple[int, Shape]], takes: Shape = ("rows", WIDTH)) -> bytes:
    kept: dict[str, NDArray[Any]] = {
        "weights": _WEIGHTS,
        "rows": np.array([0], dtype=np.int64),
        "columns": np.array([1], dtype=np.int64),
        "limit": np.array(1e6, dtype=np.float32),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "sample",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in kept.items() if name in used],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def endless_graph() -> bytes:
    """Return the scoring graph behind a loop that never ends."""
    model = load_model_from_string(scoring_graph())
    model.graph.initializer.append(helper.make_tensor("times", TensorProto.INT64, [], [2**62]))
    return _behind_loop(model, [])


def looping_graph() -> bytes:
    """Return the scoring graph behind a loop of as many iterations as the largest value of all rows."""
    count = [
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["times"], to=TensorProto.INT64),
    ]
    return _behind_loop(load_model_from_string(scoring_graph()), count)


def _behind_loop(model: ModelProto, count: list[NodeProto]) -> bytes:
    """Insert a loop of `times` iterations, which `count` computes, before the first node."""
    values = [
        helper.make_tensor_value_info("iteration", TensorProto.INT64, []),
        helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        helper.make_tensor_value_info("value", TensorProto.FLOAT, ["rows", WIDTH]),
    ]
    results = [
        helper.make_tensor_value_info("still", TensorProto.BOOL, []),
        helper.make_tensor_value_info("next", TensorProto.FLOAT, ["rows", WIDTH]),
    ]
    body_nodes = [
        helper.make_node("Identity", ["go_on"], ["still"]),
        helper.make_node("Neg", ["value"], ["negative"]),
        helper.make_node("Neg", ["negative"], ["next"]),
    ]
    body = helper.make_graph(body_nodes, "body", values, results)
    model.graph.initializer.append(helper.make_tensor("always", TensorProto.BOOL, [], [True]))
    loop = helper.make_node("Loop", ["times", "always", "x"], ["looped"], body=body)
    return _before_scores(model, [*count, loop], "looped")


def bulky_graph(elements: int) -> bytes:
    """Return the scoring graph behind a tensor of so many zeros."""
    model = load_model_from_string(scoring_graph())
    model.graph.initializer.append(helper.make_tensor("elements", TensorProto.INT64, [1], [elements]))
    nodes = [
        helper.make_node("ConstantOfShape", ["elements"], ["zeros"]),
        helper.make_node("ReduceMax", ["zeros"], ["zero"], keepdims=0),
        helper.make_node("Add", ["x", "zero"], ["same"]),
    ]
    return _before_scores(model, nodes, "same")


def _before_scores(model: ModelProto, nodes: list[NodeProto], result: str) -> bytes:
    """Insert nodes before the first one, which takes their result in place of x."""
    model.graph.node[0].input[0] = result
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *kept])
    content: bytes = model.SerializeToString()
    return content
