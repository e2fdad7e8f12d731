"""Rewrites of tree ensembles in ONNX graphs: as sums of one score, which ONNX Runtime computes fastest.

Nodes, thresholds and the direction of missing values are copied as they are, so every row reaches the same leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from ondeck_registry.onnx_model import ML_DOMAIN, Array, Graph, NodeProto, make_node, read_attributes

LEAF: Final = b"LEAF"
_NODE_FIELDS: Final = frozenset(
    f"nodes_{name}"
    for name in (
        "falsenodeids",
        "featureids",
        "hitrates",
        "missing_value_tracks_true",
        "modes",
        "nodeids",
        "treeids",
        "truenodeids",
        "values",
    )
)
_WEIGHT_FIELDS: Final = ("treeids", "nodeids", "ids", "weights")
_OTHER_FIELDS: Final = frozenset(
    {"n_targets", "post_transform", "aggregate_function", "base_values", "classlabels_int64s", "classlabels_strings"}
)
_TWO: Final = 2
_MIN_TREES: Final = 8  # trees of a target that repay a node of its own
_SAME_SUM: Final = 1e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class TreeEnsemble:
    """Trees with the weights that leaves add to targets (or classes): arrays of tree, node, target and weight."""

    nodes: Mapping[str, Any]
    n_targets: int
    base: Array
    trees: Array
    leaves: Array
    targets: Array
    weights: Array
    transform: bytes

    def is_one_target_a_tree(self) -> bool:
        """Return whether the leaves of each tree add to a single target."""
        pairs = np.unique(self.trees * self.n_targets + self.targets)
        return len(pairs) == len(np.unique(self.trees))

    def has_repeated_weights(self) -> bool:
        """Return whether a leaf has two weights for one target."""
        keys = (self.trees * (self.leaves.max(initial=0) + 1) + self.leaves) * self.n_targets + self.targets
        return len(np.unique(keys)) < len(keys)


def split_regressors(graph: Graph) -> int:
    """Compute each target by an ensemble of its own where no tree adds to two; returns the number of ensembles."""
    count = 0
    for node in [each for each in graph.nodes if _is_ml(each, "TreeEnsembleRegressor")]:
        ensemble = read_ensemble(node, "target")
        if ensemble is not None and ensemble.transform == b"NONE" and _is_split_worthwhile(ensemble):
            graph.replace(node, _split(graph, node.input[0], ensemble, node.output[0]))
            count += 1
    return count


def sum_classifiers(graph: Graph) -> int:
    """Compute the probabilities of tree classifiers whose label is not used by regressors; returns their number."""
    count = 0
    for node in [each for each in graph.nodes if _is_ml(each, "TreeEnsembleClassifier")]:
        ensemble = read_ensemble(node, "class")
        if ensemble is None or len(node.output) != _TWO or graph.count_uses(node.output[0]):
            continue
        binary = _binary(graph, node, ensemble) if ensemble.n_targets == _TWO else _multiclass(graph, node, ensemble)
        if binary:
            graph.replace(node, binary)
            count += 1
    return count


def thresholds(graph: Graph, width: int) -> list[Array]:
    """Return the distinct thresholds of each input column, over all ensembles."""
    found: list[list[Array]] = [[] for _ in range(width)]
    for node in graph.nodes:
        attributes = read_attributes(node) if node.op_type.startswith("TreeEnsemble") else None
        if attributes and {"nodes_featureids", "nodes_values", "nodes_modes"} <= attributes.keys():
            branches = np.array([mode != LEAF for mode in attributes["nodes_modes"]])
            columns, values = attributes["nodes_featureids"][branches], attributes["nodes_values"][branches]
            for column in np.unique(columns[columns < width]):
                found[column].append(values[columns == column])
    return [np.unique(np.concatenate(each)) if each else np.zeros(0, np.float32) for each in found]


def _is_ml(node: NodeProto, kind: str) -> bool:
    return bool(node.domain == ML_DOMAIN and node.op_type == kind)


def read_ensemble(node: NodeProto, prefix: str) -> TreeEnsemble | None:
    """Read an ensemble of float32 values that sums its leaves; None if it is anything else."""
    attributes = read_attributes(node)
    fields = {f"{prefix}_{name}" for name in _WEIGHT_FIELDS}
    known = _NODE_FIELDS | _OTHER_FIELDS | fields
    if attributes is None or not fields <= attributes.keys() <= known:
        return None
    labels = [*attributes.get("classlabels_int64s", ()), *attributes.get("classlabels_strings", ())]
    count = attributes.get("n_targets", 1) if prefix == "target" else len(labels)
    base = attributes.get("base_values", np.zeros(0, np.float32))
    is_binary = prefix == "class" and count == _TWO
    if attributes.get("aggregate_function", b"SUM") != b"SUM" or len(base) not in {0, 1 if is_binary else count}:
        return None
    trees, leaves, targets, weights = (attributes[f"{prefix}_{name}"] for name in _WEIGHT_FIELDS)
    ensemble = TreeEnsemble(
        nodes={name: attributes[name] for name in sorted(attributes.keys() & _NODE_FIELDS - {"nodes_hitrates"})},
        n_targets=count,
        base=base,
        trees=trees,
        leaves=leaves,
        targets=targets,
        weights=weights,
        transform=attributes.get("post_transform", b"NONE"),
    )
    return None if ensemble.has_repeated_weights() else ensemble


def _is_split_worthwhile(ensemble: TreeEnsemble) -> bool:
    trees = len(np.unique(ensemble.trees))
    return ensemble.n_targets > 1 and trees >= _MIN_TREES * ensemble.n_targets and ensemble.is_one_target_a_tree()


def _split(graph: Graph, features: str, ensemble: TreeEnsemble, output: str) -> list[NodeProto]:
    base = ensemble.base if len(ensemble.base) else np.zeros(ensemble.n_targets, np.float32)
    names = [graph.new_name(output) for _ in range(ensemble.n_targets)]
    parts = [_single(features, ensemble, index, base[index], name) for index, name in enumerate(names)]
    return [*parts, make_node("Concat", names, output, axis=1)]


def _single(features: str, ensemble: TreeEnsemble, target: int, base: float, output: str) -> NodeProto:
    """Make a regressor of one target from the trees that add to it; a leaf without weight adds 0."""
    selected = ensemble.targets == target
    kept = np.isin(ensemble.nodes["nodes_treeids"], ensemble.trees[selected])
    nodes = {name: _select(values, kept) for name, values in ensemble.nodes.items()}
    weights = {
        (tree, leaf): weight
        for tree, leaf, weight in zip(
            ensemble.trees[selected].tolist(),
            ensemble.leaves[selected].tolist(),
            ensemble.weights[selected].tolist(),
            strict=True,
        )
    }
    leaves = [
        (tree, node)
        for tree, node, mode in zip(
            nodes["nodes_treeids"].tolist(), nodes["nodes_nodeids"].tolist(), nodes["nodes_modes"], strict=True
        )
        if mode == LEAF
    ]
    return make_node(
        "TreeEnsembleRegressor",
        [features],
        output,
        ML_DOMAIN,
        n_targets=1,
        base_values=np.array([base], dtype=np.float32),
        target_ids=np.zeros(len(leaves), dtype=np.int64),
        target_treeids=np.array([tree for tree, _ in leaves], dtype=np.int64),
        target_nodeids=np.array([node for _, node in leaves], dtype=np.int64),
        target_weights=np.array([weights.get(leaf, 0.0) for leaf in leaves], dtype=np.float32),
        **nodes,
    )


def _select(values: Any, kept: Array) -> Any:  # noqa: ANN401  an array, or a list of bytes
    if isinstance(values, list):
        return [value for value, is_kept in zip(values, kept.tolist(), strict=True) if is_kept]
    return values[kept]


def _binary(graph: Graph, node: NodeProto, ensemble: TreeEnsemble) -> list[NodeProto]:
    """Return nodes for two classes of which one score decides both, or none."""
    identifiers = np.unique(ensemble.targets)
    base = float(ensemble.base[0]) if len(ensemble.base) else 0.0
    has_negative = bool((ensemble.weights < 0).any())
    score, output = graph.new_name(node.output[1]), node.output[1]
    if len(identifiers) == 1:
        trees = _single(node.input[0], ensemble, int(identifiers[0]), base, score)
        if ensemble.transform == b"LOGISTIC" and has_negative:
            both = graph.new_name(output)
            return [trees, _scale(graph, score, both), make_node("Sigmoid", [both], output)]
        if ensemble.transform == b"NONE" and not has_negative and base == 0:
            return [trees, *_complement(graph, score, 1.0, output)]
    if len(identifiers) == _TWO and ensemble.transform == b"NONE" and not len(ensemble.base):
        total = _constant_sum(ensemble)
        if total is not None:
            trees = _single(node.input[0], ensemble, 1, 0.0, score)
            return [trees, *_complement(graph, score, total, output)]
    return []


def _multiclass(graph: Graph, node: NodeProto, ensemble: TreeEnsemble) -> list[NodeProto]:
    """Return nodes for three classes or more where each tree adds to one of them, or none."""
    if not _is_split_worthwhile(ensemble) or ensemble.transform not in {b"NONE", b"SOFTMAX"}:
        return []
    if ensemble.transform == b"NONE":
        return _split(graph, node.input[0], ensemble, node.output[1])
    raw = graph.new_name(node.output[1])
    return [*_split(graph, node.input[0], ensemble, raw), make_node("Softmax", [raw], node.output[1], axis=1)]


def _scale(graph: Graph, score: str, output: str) -> NodeProto:
    signs = graph.add_constant("signs", np.array([-1, 1], dtype=np.float32))
    return make_node("Mul", [score, signs], output)


def _complement(graph: Graph, score: str, total: float, output: str) -> list[NodeProto]:
    """Return nodes for the columns `total - score` and `score`."""
    both = graph.new_name(output)
    offsets = graph.add_constant("offsets", np.array([total, 0], dtype=np.float32))
    return [_scale(graph, score, both), make_node("Add", [both, offsets], output)]


def _constant_sum(ensemble: TreeEnsemble) -> float | None:
    """Return the sum of both classes if it is the same for all leaves of a tree; None if it is not."""
    keys = np.stack([ensemble.trees, ensemble.leaves], axis=1)
    leaves, at, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    modes = np.array([mode == LEAF for mode in ensemble.nodes["nodes_modes"]])
    if (counts != _TWO).any() or len(leaves) != modes.sum():
        return None
    sums = np.bincount(at, weights=ensemble.weights.astype(np.float64))
    least, most = (
        [bound(sums[leaves[:, 0] == tree]) for tree in np.unique(leaves[:, 0])] for bound in (np.min, np.max)
    )
    return float(sum(least)) if np.allclose(least, most, rtol=0, atol=_SAME_SUM / len(least)) else None
