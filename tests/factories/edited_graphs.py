"""Views and edits of ONNX graphs, to compare a graph with a rewritten one."""

from collections.abc import Sequence
from typing import Any, Final

import onnx
from onnx import helper

from ondeck_core.manifest import FP32, Tensor
from ondeck_registry.onnx_session import OnnxSession, open_graph

PROBABILITIES: Final = ("probabilities",)


def open_session(graph: bytes, outputs: Sequence[str] = PROBABILITIES, classes: int = 2) -> OnnxSession:
    width = open_graph(graph).get_inputs()[0].shape[1]
    name = open_graph(graph).get_inputs()[0].name
    return OnnxSession(
        graph,
        (Tensor(name=name, datatype=FP32, shape=(-1, width)),),
        [Tensor(name=each, datatype=FP32, shape=(-1, classes)) for each in outputs],
    )


def operators(graph: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_model_from_string(graph).graph.node]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def with_tree_attributes(graph: bytes, **changed: Any) -> bytes:
    """Return a graph of which the tree ensemble has other attributes."""
    model = onnx.load_model_from_string(graph)
    node = next(each for each in model.graph.node if each.op_type.startswith("TreeEnsemble"))
    other = helper.make_node(
        node.op_type, node.input, node.output, domain=node.domain, **{**attributes(node), **changed}
    )
    node.CopyFrom(other)
    return bytes(model.SerializeToString())
