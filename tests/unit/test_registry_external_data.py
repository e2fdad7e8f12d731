"""No tensor outside of the graph file is read: graphs with external data are refused before they are opened."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, load_model_from_string

from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry.import_onnx import publish_graph
from ondeck_registry.onnx_session import check_self_contained, open_graph
from tests.conftest import ROOT
from tests.factories.onnx_graphs import scoring_graph

Place = Callable[[ModelProto, TensorProto], object]
NODE: Final = helper.make_node("Constant", [], ["unused"])


def external_tensor(location: str = "secret.bin") -> TensorProto:
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[4, 2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def attribute(**values: Any) -> AttributeProto:
    return AttributeProto(name="value", **values)


def add_node(graph: GraphProto, *attributes: AttributeProto) -> None:
    node = graph.node.add()
    node.CopyFrom(NODE)
    node.attribute.extend(attributes)


def subgraph(tensor: TensorProto, depth: int) -> GraphProto:
    """Return a graph with the tensor in a graph of a graph, and so on."""
    graph = GraphProto(initializer=[tensor])
    for _ in range(depth):
        outer = GraphProto()
        add_node(outer, attribute(g=graph))
        graph = outer
    return graph


def add_function(model: ModelProto, tensor: TensorProto) -> None:
    function = model.functions.add(name="f", domain="d")
    function.node.add(op_type="Constant").attribute.append(attribute(t=tensor))


PLACES: Final[Mapping[str, Place]] = {
    "initializer": lambda model, tensor: model.graph.initializer.append(tensor),
    "constant": lambda model, tensor: add_node(model.graph, attribute(t=tensor)),
    "list of tensors": lambda model, tensor: add_node(model.graph, attribute(tensors=[tensor])),
    "sparse values": lambda model, tensor: model.graph.sparse_initializer.append(SparseTensorProto(values=tensor)),
    "sparse indices": lambda model, tensor: model.graph.sparse_initializer.append(SparseTensorProto(indices=tensor)),
    "sparse constant": lambda model, tensor: add_node(
        model.graph, attribute(sparse_tensor=SparseTensorProto(values=tensor))
    ),
    "list of sparse": lambda model, tensor: add_node(
        model.graph, attribute(sparse_tensors=[SparseTensorProto(values=tensor)])
    ),
    "subgraph": lambda model, tensor: add_node(model.graph, attribute(g=subgraph(tensor, 0))),
    "deep subgraph": lambda model, tensor: add_node(model.graph, attribute(graphs=[subgraph(tensor, 20)])),
    "function": add_function,
    "function default": lambda model, tensor: model.functions.add(name="f").attribute_proto.append(attribute(t=tensor)),
    "training": lambda model, tensor: model.training_info.add().algorithm.initializer.append(tensor),
    "training start": lambda model, tensor: model.training_info.add().initialization.initializer.append(tensor),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_graph_with_a_tensor_elsewhere_is_refused(place: str) -> None:
    model = load_model_from_string(scoring_graph())
    PLACES[place](model, external_tensor())
    with pytest.raises(ArtifactRefusedError, match="keeps the tensor 'weights' outside of the graph file"):
        check_self_contained(model.SerializeToString())


@pytest.mark.parametrize("location", ["secret.bin", "/etc/passwd", "*/_ORT_MEM_ADDR_/*"])
def test_the_working_directory_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    monkeypatch.chdir(tmp_path)
    np.ones((4, 2), np.float32).tofile(tmp_path / "secret.bin")
    model = load_model_from_string(scoring_graph())
    del model.graph.initializer[:]
    model.graph.initializer.append(external_tensor(location))
    for use in (open_graph, lambda graph: publish_graph(tmp_path / "models", "scores", graph)):
        with pytest.raises(ArtifactRefusedError, match="outside of the graph file"):
            use(model.SerializeToString())


def test_a_location_without_entries_and_entries_without_a_location_are_refused() -> None:
    tensor = external_tensor()
    tensor.ClearField("external_data")
    other = external_tensor()
    other.ClearField("data_location")
    for each in (tensor, other):
        model = load_model_from_string(scoring_graph())
        model.graph.initializer.append(each)
        with pytest.raises(ArtifactRefusedError, match="outside of the graph file"):
            check_self_contained(model.SerializeToString())


def test_a_graph_given_in_two_parts_is_checked_as_a_whole() -> None:
    good = ModelProto()
    good.graph.initializer.append(external_tensor())
    with pytest.raises(ArtifactRefusedError, match="outside of the graph file"):
        check_self_contained(good.SerializeToString() + scoring_graph())


def test_another_format_than_onnx_is_refused() -> None:
    for content in (b"no graph", b"\x18\x00\x00\x00ORTM" + bytes(64)):
        with pytest.raises(ArtifactRefusedError, match="is not a graph that can be run"):
            open_graph(content)


def test_the_shipped_models_are_self_contained() -> None:
    graphs = sorted((ROOT / "onnx_models").glob("*/*/model.onnx"))
    assert len(graphs) >= 4
    for graph in graphs:
        check_self_contained(graph.read_bytes())
