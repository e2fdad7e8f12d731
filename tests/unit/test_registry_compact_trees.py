"""Large tree ensembles become TreeEnsemble, which computes the same in less memory; others keep their operator."""

from typing import Any

import numpy as np
import onnx
import pytest

from ondeck_registry.graph_optimizer import optimize
from ondeck_registry.onnx_model import Graph
from ondeck_registry.version_optimizer import check_equivalent, probe_rows
from tests.conftest import ROOT
from tests.factories.edited_graphs import PROBABILITIES, attributes, open_session, operators, with_tree_attributes
from tests.factories.fitted_graphs import fitted_graph


@pytest.mark.parametrize(("model", "classes"), [("batted_ball/2", 5), ("whiff/1", 2)])
def test_large_ensembles_become_compact_trees_that_compute_the_same(model: str, classes: int) -> None:
    shipped = (ROOT / "onnx_models" / model / "model.onnx").read_bytes()
    compact = optimize(shipped, PROBABILITIES)
    assert compact.rewrites[-1] == "compact_trees"
    assert "TreeEnsemble" in operators(compact.graph)
    assert "TreeEnsembleRegressor" not in operators(compact.graph)
    assert len(compact.graph) < len(shipped) / 2
    before, after = (open_session(each, classes=classes) for each in (shipped, compact.graph))
    golden = np.random.default_rng(10).standard_normal((128, before.width)).astype(np.float32)
    check_equivalent(before, after, probe_rows(golden * 30, Graph(shipped, PROBABILITIES)))


@pytest.mark.parametrize(
    "changed",
    [
        {"nodes_modes": lambda modes: [b"BRANCH_LT" if each == b"BRANCH_LEQ" else each for each in modes]},
        {"aggregate_function": lambda _: b"MIN"},
        {"target_nodeids": lambda nodes: [10_000, *nodes[1:]]},
        {"nodes_truenodeids": lambda nodes: [nodes[1], *nodes[1:]]},
    ],
    ids=["another comparison", "another sum", "a leaf that does not exist", "two parents of a node"],
)
def test_ensembles_that_are_not_plain_trees_keep_their_operator(changed: dict[str, Any]) -> None:
    shipped = (ROOT / "onnx_models" / "whiff" / "1" / "model.onnx").read_bytes()
    tree = attributes(next(each for each in onnx.load_model_from_string(shipped).graph.node if "Tree" in each.op_type))
    other = with_tree_attributes(shipped, **{name: change(tree.get(name)) for name, change in changed.items()})
    assert "compact_trees" not in optimize(other, PROBABILITIES).rewrites


def test_small_ensembles_keep_their_operator() -> None:
    graph = optimize(fitted_graph("boosting"), PROBABILITIES).graph
    assert "TreeEnsembleRegressor" in operators(graph)
