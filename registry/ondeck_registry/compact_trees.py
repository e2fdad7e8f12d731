"""Rewrites tree ensembles as operator TreeEnsemble, which an open session keeps in a quarter of the memory.

ONNX Runtime keeps the attributes of every node as long as a session is open. The older operators need about 126 bytes
for a node of a tree, of which the text of its mode takes 56; TreeEnsemble has tensors, and no text. Both run by the
same code.
"""

from typing import Any, Final

import numpy as np

from ondeck_registry.onnx_model import ML_DOMAIN, Array, Graph, NodeProto, make_node, make_tensor
from ondeck_registry.tree_rewrites import LEAF, TreeEnsemble, read_ensemble

_OPSET: Final = 5  # of ai.onnx.ml: the first with TreeEnsemble, and without the older operators
_UNCHANGED: Final = frozenset({"ArrayFeatureExtractor", "LinearClassifier", "Normalizer", "Scaler", "ZipMap"})  # by it
_BRANCH: Final = b"BRANCH_LEQ"
_BRANCH_NUMBER, _SUM, _NO_TRANSFORM = 0, 1, 0
_MIN_NODES: Final = 4096  # of all trees of a graph; fewer take little memory


def compact_trees(graph: Graph) -> int:
    """Rewrite the tree ensembles of one target, if there are no others in the graph; returns their number."""
    nodes = [each for each in graph.nodes if each.domain == ML_DOMAIN and each.op_type not in _UNCHANGED]
    if any(each.op_type != "TreeEnsembleRegressor" for each in nodes) or graph.opset(ML_DOMAIN) >= _OPSET:
        return 0
    ensembles = [read_ensemble(each, "target") for each in nodes]
    if sum(len(each.nodes["nodes_modes"]) for each in ensembles if each) < _MIN_NODES:
        return 0
    compact = [_compact(node, each) if each else None for node, each in zip(nodes, ensembles, strict=True)]
    if None in compact:
        return 0
    for node, replacement in zip(nodes, compact, strict=True):
        graph.replace(node, [replacement])
    graph.set_opset(ML_DOMAIN, _OPSET)
    return len(nodes)


def _compact(node: NodeProto, ensemble: TreeEnsemble) -> NodeProto | None:
    """Return the ensemble as TreeEnsemble; None if it has another structure than trees of two branches or more."""
    nodes, is_leaf = ensemble.nodes, np.array([mode == LEAF for mode in ensemble.nodes["nodes_modes"]])
    is_plain = ensemble.n_targets == 1 and ensemble.transform == b"NONE"
    if not is_plain or not set(nodes["nodes_modes"]) <= {LEAF, _BRANCH}:
        return None
    keys = list(zip(nodes["nodes_treeids"].tolist(), nodes["nodes_nodeids"].tolist(), strict=True))
    position = {key: index for index, key in enumerate(keys)}
    branches = np.flatnonzero(~is_leaf)
    on_true, on_false = (_children(ensemble, position, branches, each) for each in ("true", "false"))
    roots = _roots(nodes["nodes_treeids"], on_true, on_false)
    weights = _leaf_weights(ensemble, position)
    if len(position) < len(keys) or roots is None or is_leaf[roots].any() or weights is None:
        return None
    number = np.where(is_leaf, np.cumsum(is_leaf), np.cumsum(~is_leaf)) - 1  # of each leaf, and of each branch
    missing = nodes.get("nodes_missing_value_tracks_true", np.zeros(len(keys), np.int64))
    return make_node(
        "TreeEnsemble",
        list(node.input),
        node.output[0],
        ML_DOMAIN,
        n_targets=1,
        aggregate_function=_SUM,
        post_transform=_NO_TRANSFORM,
        tree_roots=number[roots],
        nodes_featureids=nodes["nodes_featureids"][branches],
        nodes_splits=make_tensor(nodes["nodes_values"][branches]),
        nodes_modes=make_tensor(np.full(len(branches), _BRANCH_NUMBER, dtype=np.uint8)),
        nodes_missing_value_tracks_true=missing[branches],
        nodes_truenodeids=number[on_true],
        nodes_trueleafs=is_leaf[on_true].astype(np.int64),
        nodes_falsenodeids=number[on_false],
        nodes_falseleafs=is_leaf[on_false].astype(np.int64),
        leaf_targetids=np.zeros(is_leaf.sum(), dtype=np.int64),
        leaf_weights=make_tensor(weights[is_leaf]),
    )


def _children(ensemble: TreeEnsemble, position: dict[Any, int], branches: Array, direction: str) -> Array:
    """Return the position of the child of each branch; -1 if there is none."""
    trees, children = ensemble.nodes["nodes_treeids"], ensemble.nodes[f"nodes_{direction}nodeids"]
    keys = zip(trees[branches].tolist(), children[branches].tolist(), strict=True)
    return np.array([position.get(key, -1) for key in keys], dtype=np.int64)


def _roots(trees: Array, on_true: Array, on_false: Array) -> Array | None:
    """Return the position of the root of each tree in the order of trees; None if the nodes are no trees."""
    children = np.concatenate([on_true, on_false])
    if (children < 0).any() or len(np.unique(children)) < len(children):
        return None
    roots = np.setdiff1d(np.arange(len(trees)), children)
    return roots if len(roots) == len(np.unique(trees)) == len(np.unique(trees[roots])) else None


def _leaf_weights(ensemble: TreeEnsemble, position: dict[Any, int]) -> Array | None:
    """Return the weight of each node; those of the last tree include the base value. None if a leaf does not exist."""
    trees = ensemble.nodes["nodes_treeids"]
    leaves = [position.get(key, -1) for key in zip(ensemble.trees.tolist(), ensemble.leaves.tolist(), strict=True)]
    if -1 in leaves:
        return None
    weights = np.zeros(len(trees), dtype=np.float32)
    weights[leaves] = ensemble.weights
    weights[trees == trees[-1]] += np.float32(ensemble.base.sum())
    return weights
