"""Small ONNX graphs that belong to no task, as a user might import them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

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


def _graph(nodes: list[NodeProto], outputs: dict[str, tuple[int, Shape]], takes: Shape = ("rows", WIDTH)) -> bytes:
    kept: dict[str, NDArray[Any]] = {"weights": _WEIGHTS, "rows": np.array([0], dtype=np.int64)}
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
