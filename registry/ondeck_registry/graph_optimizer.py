"""Rewrites an ONNX graph into an equivalent one, faster and smaller. Pure: bytes in, bytes and applied rewrites out.

ONNX Runtime itself removes identities and folds constants when it opens a graph; these rewrites need what it does not
know: which outputs are asked for, and that equal within rounding is enough.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ondeck_registry.compact_trees import compact_trees
from ondeck_registry.onnx_model import ML_DOMAIN, Array, Graph, NodeProto, make_node, read_attributes
from ondeck_registry.tree_rewrites import split_regressors, sum_classifiers

_NEGLIGIBLE: Final = 1e-20  # the most that a weight set to zero could have added
_UNIT_BOUNDED: Final = frozenset({"Sigmoid", "Tanh", "Softmax"})
_TRANSFORMS: Final[Mapping[bytes, str]] = {b"LOGISTIC": "Sigmoid", b"SOFTMAX": "Softmax"}


@dataclass(frozen=True, kw_only=True)
class OptimizedGraph:
    """A graph, and the names of the rewrites that made it from the shipped one."""

    graph: bytes
    rewrites: tuple[str, ...]


def optimize(graph: bytes, outputs: Sequence[str], *, is_exact: bool = False) -> OptimizedGraph:
    """Return the graph with every rewrite that applies; with `is_exact` only those that keep every bit of `outputs`.

    Raises:
        UneditableGraphError: it has parts of which the meaning is not known here.
    """
    edited = Graph(graph, outputs)
    rewrites = [name for name, rewrite in (_EXACT if is_exact else _EXACT | _ROUNDED).items() if rewrite(edited)]
    edited.drop_unused()
    return OptimizedGraph(graph=edited.serialize() if rewrites else graph, rewrites=tuple(rewrites))


def zero_negligible_weights(graph: Graph) -> int:
    """Set weights of a Gemm to zero whose products are negligible; returns the number of changed nodes.

    Training with weight decay leaves subnormal numbers, with which a processor computes up to a hundred times slower.
    Only where the input has a bound: infinity times a small weight is infinite, and times zero it is not a number.
    """
    count = 0
    for node in [each for each in graph.nodes if _is_plain_gemm(each)]:
        bound, weights = _bound(graph, node.input[0]), graph.constant(node.input[1])
        if bound is None or weights is None or weights.dtype != np.float32:
            continue
        negligible = (weights != 0) & (np.abs(weights.astype(np.float64)) * bound < _NEGLIGIBLE)
        if negligible.any():
            node.input[1] = graph.add_constant(node.input[1], np.where(negligible, np.float32(0), weights))
            count += 1
    return count


def fold_scalers(graph: Graph) -> int:
    """Fold scalers into the linear classifiers that use them; returns the number of classifiers."""
    count = 0
    for node in [each for each in graph.nodes if each.domain == ML_DOMAIN and each.op_type == "LinearClassifier"]:
        scaler = graph.producer(node.input[0])
        linear = _linear(node)
        if scaler is None or scaler.op_type != "Scaler" or linear is None or graph.count_uses(node.output[0]):
            continue
        attributes = read_attributes(scaler) or {}
        width = linear.weights.shape[1]
        offset, scale = (attributes.get(name, np.zeros(0)).astype(np.float64) for name in ("offset", "scale"))
        if {len(offset), len(scale)} <= {1, width}:
            weights = linear.weights * scale
            bias = linear.bias - (weights * offset).sum(axis=1)
            graph.replace(node, _gemm(graph, node, scaler.input[0], weights, bias))
            count += 1
    return count


def compute_without_labels(graph: Graph) -> int:
    """Compute the scores of linear classifiers whose label is not used by a Gemm; returns the number of classifiers."""
    count = 0
    for node in [each for each in graph.nodes if each.domain == ML_DOMAIN and each.op_type == "LinearClassifier"]:
        linear = _linear(node)
        if linear is not None and not graph.count_uses(node.output[0]):
            graph.replace(node, _gemm(graph, node, node.input[0], linear.weights, linear.bias))
            count += 1
    return count


def scaler_ranges(graph: Graph, width: int) -> list[tuple[Array, Array]]:
    """Return offset and spread, one value a column, of each scaler: where the rows are for which it was fitted."""
    found = []
    for node in [each for each in graph.nodes if each.op_type == "Scaler"]:
        attributes = read_attributes(node) or {}
        offset, scale = (attributes.get(name, np.zeros(0)).astype(np.float64) for name in ("offset", "scale"))
        if {len(offset), len(scale)} <= {1, width} and scale.all():
            found.append((np.resize(offset, width), np.resize(1 / scale, width)))
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Linear:
    """A linear classifier: weights of shape (classes, columns) and bias, both float64."""

    weights: Array
    bias: Array


def _linear(node: NodeProto) -> _Linear | None:
    """Read a classifier that has a row of weights for each class, at least two; None if it is anything else."""
    attributes = read_attributes(node) or {}
    weights, bias = attributes.get("coefficients"), attributes.get("intercepts", np.zeros(0))
    labels = [*attributes.get("classlabels_ints", ()), *attributes.get("classlabels_strings", ())]
    is_known = attributes.get("post_transform", b"NONE") in {b"NONE", *_TRANSFORMS}
    if weights is None or not is_known or len(bias) < 2 or len(bias) != len(labels) or len(weights) % len(bias):  # noqa: PLR2004  classes
        return None
    return _Linear(weights=weights.astype(np.float64).reshape(len(bias), -1), bias=bias.astype(np.float64))


def _gemm(graph: Graph, node: NodeProto, features: str, weights: Array, bias: Array) -> list[NodeProto]:
    """Return the nodes that compute the second output of a linear classifier."""
    output, attributes = node.output[1], read_attributes(node) or {}
    transform = _TRANSFORMS.get(attributes.get("post_transform", b"NONE"))
    raw = graph.new_name(output) if transform else output
    parameters = [
        graph.add_constant(f"{output}/weights", weights.T.astype(np.float32)),
        graph.add_constant(f"{output}/bias", bias.astype(np.float32)),
    ]
    extra: dict[str, Any] = {"axis": 1} if transform == "Softmax" else {}
    gemm = make_node("Gemm", [features, *parameters], raw)
    return [gemm, make_node(transform, [raw], output, **extra)] if transform else [gemm]


def _is_plain_gemm(node: NodeProto) -> bool:
    return bool(node.op_type == "Gemm" and not node.domain and not node.attribute)


def _bound(graph: Graph, name: str) -> float | None:
    """Return a bound of the absolute numbers in a tensor, for every input; None if none is known."""
    node = graph.producer(name)
    if node is None or node.domain:
        return None
    if node.op_type in _UNIT_BOUNDED:
        return 1.0
    if node.op_type == "Clip" and len(node.input) == 3:  # noqa: PLR2004  value, least, most
        limits = [graph.constant(each) for each in node.input[1:]]
        return max(float(np.abs(each).max()) for each in limits if each is not None) if None not in limits else None
    inner = _bound(graph, node.input[0]) if node.op_type in {"Relu", "Gemm"} else None
    if inner is None or node.op_type == "Relu":
        return inner
    constants = [graph.constant(each) for each in node.input[1:]]
    if not _is_plain_gemm(node) or any(each is None for each in constants):
        return None
    weights, *bias = (np.abs(each.astype(np.float64)) for each in constants if each is not None)
    return float(weights.sum(axis=0).max() * inner + sum(each.max() for each in bias))


_EXACT: Final[dict[str, Callable[[Graph], int]]] = {
    "drop_unused": Graph.drop_unused,
    "split_regressors": split_regressors,
}
_ROUNDED: Final[dict[str, Callable[[Graph], int]]] = {
    "zero_negligible_weights": zero_negligible_weights,
    "sum_classifiers": sum_classifiers,
    "fold_scalers": fold_scalers,
    "compute_without_labels": compute_without_labels,
    "compact_trees": compact_trees,  # last: no other rewrite reads its result
}
