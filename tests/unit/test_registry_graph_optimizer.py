"""An optimized graph computes what the shipped one does, on missing values, thresholds and extremes too."""

from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ondeck_core.instances import Matrix
from ondeck_registry.graph_optimizer import OptimizedGraph, optimize
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.onnx_model import Graph
from ondeck_registry.onnx_session import OnnxSession, open_graph
from ondeck_registry.repository import read_any_manifest
from ondeck_registry.tree_rewrites import thresholds
from ondeck_registry.version_optimizer import (
    SHIPPED,
    DifferentOutputError,
    Optimization,
    check_equivalent,
    optimize_version,
    probe_rows,
)
from tests.conftest import ROOT
from tests.factories.edited_graphs import PROBABILITIES, attributes, open_session, operators, with_tree_attributes
from tests.factories.fitted_graphs import CLASSES, COLUMNS, MODELS, fitted_graph
from tests.factories.onnx_graphs import endless_graph, scoring_graph

SUBNORMAL: Final = 1e-40
MAX: Final = float(np.finfo(np.float32).max)
EXPECTED: Final = {
    "boosting": {"sum_classifiers"},
    "boosting_of_3": {"sum_classifiers"},
    "forest": {"sum_classifiers"},
    "forest_of_3": set(),
    "logistic": {"fold_scalers"},
    "logistic_of_3": {"fold_scalers"},
    "vote": {"drop_unused", "sum_classifiers", "fold_scalers"},
    "calibrated_forest": {"drop_unused", "sum_classifiers"},
    "calibrated_logistic": {"drop_unused", "compute_without_labels"},
}


@cache
def sessions(model: str) -> tuple[OnnxSession, OnnxSession]:
    """Return the sessions of a model as converted and as optimized."""
    graph, classes = fitted_graph(model), CLASSES.get(model, 2)
    return open_session(graph, classes=classes), open_session(optimize(graph, PROBABILITIES).graph, classes=classes)


def network(weights: NDArray[np.float32], *, is_bounded: bool = True) -> bytes:
    """Return a network of two equal layers, of weights (2, 2); if bounded, its input is limited to 10."""
    clip = helper.make_node("Clip", ["x", "least", "most"], ["limited"])
    nodes = [
        *([clip] if is_bounded else []),
        helper.make_node("Gemm", ["limited" if is_bounded else "x", "weights", "bias"], ["first"]),
        helper.make_node("Relu", ["first"], ["hidden"]),
        helper.make_node("Gemm", ["hidden", "weights", "bias"], ["probabilities"]),
    ]
    constants = {
        "weights": weights,
        "bias": np.array([0.5, -0.5], np.float32),
        "least": np.array(-10, np.float32),
        "most": np.array(10, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    return bytes(helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString())


def rewritten(model: str) -> OptimizedGraph:
    return optimize(fitted_graph(model), PROBABILITIES)


@pytest.mark.parametrize("model", MODELS)
def test_each_model_is_rewritten_as_far_as_its_structure_allows(model: str) -> None:
    optimized = rewritten(model)
    assert set(optimized.rewrites) == EXPECTED[model]
    found = operators(optimized.graph)
    if EXPECTED[model]:
        assert not {"TreeEnsembleClassifier", "LinearClassifier", "Scaler", "ArgMax"} & set(found)
    else:
        assert optimized.graph == fitted_graph(model)


@pytest.mark.parametrize("model", MODELS)
def test_a_rewritten_model_computes_the_same_on_all_kinds_of_rows(model: str) -> None:
    graph = Graph(fitted_graph(model), PROBABILITIES)
    golden = np.random.default_rng(5).standard_normal((64, COLUMNS)).astype(np.float32)
    rows = probe_rows(golden, graph)
    assert np.isnan(rows).all(axis=1).any()
    assert {-np.inf, np.inf, MAX, -MAX} <= set(rows[~np.isnan(rows)].tolist())
    check_equivalent(*sessions(model), rows)


@pytest.mark.parametrize("model", MODELS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_rewritten_model_computes_the_same_on_any_row(model: str, data: st.DataObject) -> None:
    by_column = thresholds(Graph(fitted_graph(model), PROBABILITIES), COLUMNS)
    cells = [
        st.one_of(
            st.floats(-100, 100, width=32),
            st.just(np.nan),
            *([st.sampled_from(each.tolist())] if len(each) else []),
        )
        for each in by_column
    ]
    rows = data.draw(st.lists(st.tuples(*cells), min_size=1, max_size=9))
    check_equivalent(*sessions(model), np.array(rows, dtype=np.float32))


def test_thresholds_and_missing_values_take_the_same_branch_bit_for_bit() -> None:
    graph = fitted_graph("forest")
    before, after = sessions("forest")
    by_column = thresholds(Graph(graph, PROBABILITIES), COLUMNS)
    for column, values in enumerate(by_column):
        assert len(values)
        for near in (np.nextafter(values, np.float32(-np.inf)), values, np.nextafter(values, np.float32(np.inf))):
            rows = np.full((len(values), COLUMNS), np.nan, dtype=np.float32)
            rows[:, column] = near
            assert np.array_equal(before.infer(rows)[0], after.infer(rows)[0])


def test_a_regressor_of_several_targets_is_split_bit_for_bit() -> None:
    whole = (ROOT / "onnx_models" / "batted_ball" / "2" / "model.onnx").read_bytes()
    split = optimize(whole, PROBABILITIES, is_exact=True)
    assert split.rewrites == ("drop_unused", "split_regressors")  # the output `members` is not asked for
    assert operators(split.graph).count("TreeEnsembleRegressor") == 5
    width = open_graph(whole).get_inputs()[0].shape[1]
    random = np.random.default_rng(6)
    rows = (random.standard_normal((256, width)) * 50).astype(np.float32)
    rows[random.random(rows.shape) < 0.2] = np.nan
    before, after = (open_session(each, classes=5).infer(rows)[0] for each in (whole, split.graph))
    assert np.array_equal(before, after)


def test_labels_that_are_asked_for_remain() -> None:
    for model in ("boosting", "forest", "logistic", "boosting_of_3"):
        assert optimize(fitted_graph(model), ("label", "probabilities")).rewrites == ()
    vote = optimize(fitted_graph("vote"), ("label", "probabilities"))
    assert {"ArgMax", "ArrayFeatureExtractor"} <= set(operators(vote.graph))
    rows = np.random.default_rng(7).standard_normal((99, COLUMNS)).astype(np.float32)
    before, after = (open_graph(each).run(["label"], {"X": rows})[0] for each in (fitted_graph("vote"), vote.graph))
    assert np.array_equal(before, after)


def test_dictionaries_that_are_not_asked_for_are_dropped() -> None:
    graph = fitted_graph("vote", zipmap=True)
    assert "ZipMap" in operators(graph)
    optimized = optimize(graph, ("output_label",))
    assert "ZipMap" not in operators(optimized.graph)
    assert [each.name for each in open_graph(optimized.graph).get_outputs()] == ["output_label"]


def test_complementary_classes_become_one_target() -> None:
    tree = attributes(onnx.load_model_from_string(fitted_graph("forest")).graph.node[0])
    trees = len(set(tree["nodes_treeids"]))
    both = {
        "class_ids": [0] * len(tree["class_ids"]) + [1] * len(tree["class_ids"]),
        "class_nodeids": tree["class_nodeids"] * 2,
        "class_treeids": tree["class_treeids"] * 2,
    }
    weights = np.array(tree["class_weights"], dtype=np.float32)
    graph = with_tree_attributes(
        fitted_graph("forest"), **both, class_weights=[*(np.float32(1 / trees) - weights).tolist(), *weights.tolist()]
    )
    optimized = optimize(graph, PROBABILITIES)
    assert optimized.rewrites == ("sum_classifiers",)
    rows = np.random.default_rng(8).standard_normal((500, COLUMNS)).astype(np.float32)
    check_equivalent(open_session(graph), open_session(optimized.graph), rows)
    unequal = with_tree_attributes(graph, class_weights=[*(weights * 2).tolist(), *weights.tolist()])
    assert optimize(unequal, PROBABILITIES).rewrites == ()


def test_trees_that_are_not_summed_or_not_understood_stay() -> None:
    boosting = fitted_graph("boosting")
    assert optimize(with_tree_attributes(boosting, post_transform="PROBIT"), PROBABILITIES).rewrites == ()
    assert optimize(with_tree_attributes(boosting, nodes_note=[1, 2]), PROBABILITIES).rewrites == ()
    weights = [abs(each) for each in attributes(onnx.load_model_from_string(boosting).graph.node[0])["class_weights"]]
    # ONNX Runtime takes the sum for a probability where no weight is negative
    assert optimize(with_tree_attributes(boosting, class_weights=weights), PROBABILITIES).rewrites == ()


@pytest.mark.parametrize("value", [0.0, 1.0, -1e6, MAX, np.inf, -np.inf, np.nan])
def test_negligible_weights_of_a_bounded_network_become_zero(value: float) -> None:
    graph = network(np.array([[1.0, SUBNORMAL], [-SUBNORMAL, 2.0]], np.float32))
    optimized = optimize(graph, PROBABILITIES)
    assert optimized.rewrites == ("zero_negligible_weights",)
    constants = [numpy_helper.to_array(each) for each in onnx.load_model_from_string(optimized.graph).graph.initializer]
    assert [each.tolist() for each in constants if each.shape == (2, 2)] == [[[1, 0], [0, 2]]] * 2
    rows: Matrix = np.array([[value, 1], [1, value], [value, value]], dtype=np.float32)
    check_equivalent(open_session(graph), open_session(optimized.graph), rows)


def test_small_weights_stay_where_they_count_or_the_input_has_no_bound() -> None:
    small = np.array([[1.0, 1e-8], [1e-8, 1.0]], np.float32)
    assert optimize(network(small), PROBABILITIES).rewrites == ()
    subnormal = np.array([[1.0, SUBNORMAL], [SUBNORMAL, 1.0]], np.float32)
    assert optimize(network(subnormal, is_bounded=False), PROBABILITIES).rewrites == ()


def publish(models: Path, graph: bytes) -> Optimization:
    publish_graph(models, "graph", graph, PROBABILITIES)
    folder = models / "graph" / "1"
    return optimize_version(folder, read_any_manifest(folder, "graph", 1))


def test_a_rewrite_that_changes_outputs_is_rejected(tmp_path: Path) -> None:
    """Far from zero, a folded scaler loses the digits that its subtraction keeps."""
    far = publish(tmp_path / "far", fitted_graph("logistic", 3e5))
    assert far.graph is None
    assert far.rewrites == ()
    assert far.rejected.startswith("probabilities would differ by ")
    near = publish(tmp_path / "near", fitted_graph("logistic"))
    assert near.rewrites == ("fold_scalers",)
    assert near.rejected == ""


def test_exact_rewrites_serve_where_others_are_rejected(tmp_path: Path) -> None:
    vote = publish(tmp_path, fitted_graph("vote", 3e5))
    assert vote.rewrites == ("drop_unused",)
    assert vote.rejected.startswith("probabilities would differ by ")


def test_a_graph_with_subgraphs_or_without_rewrites_serves_as_shipped(tmp_path: Path) -> None:
    publish_graph(tmp_path, "scores", scoring_graph())
    folder = tmp_path / "scores" / "1"
    assert optimize_version(folder, read_any_manifest(folder, "scores", 1)) == SHIPPED
    with pytest.raises(ValueError, match="subgraphs"):
        optimize(endless_graph(), PROBABILITIES)


def test_graphs_that_would_exceed_the_limits_of_a_load_serve_as_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load_model_from_string(fitted_graph("forest"))
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(9 << 20, np.float32), "unused"))  # 36 MiB
    large = publish(tmp_path / "large", model.SerializeToString())
    assert large == Optimization(rejected="graphs of more than 32 MiB are not optimized")
    assert publish(tmp_path / "small", fitted_graph("forest")).rejected == ""
    monkeypatch.setattr("ondeck_registry.version_optimizer._MAX_SECONDS", 1e-9)
    slow = publish(tmp_path / "slow", fitted_graph("forest"))
    assert slow.graph is None
    assert slow.rejected.startswith("a comparison with the shipped graph would take ")


def test_any_difference_is_found() -> None:
    before = open_session(fitted_graph("boosting"))
    weights = attributes(onnx.load_model_from_string(fitted_graph("boosting")).graph.node[0])["class_weights"]
    other = open_session(
        with_tree_attributes(fitted_graph("boosting"), class_weights=[weights[0] + 1e-4, *weights[1:]])
    )
    rows = np.random.default_rng(9).standard_normal((500, COLUMNS)).astype(np.float32)
    check_equivalent(before, before, rows)
    with pytest.raises(DifferentOutputError, match="probabilities would differ"):
        check_equivalent(before, other, rows)
