"""Tensors outside of the graph file: refused where a graph is opened, embedded where it is imported."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from onnx import AttributeProto, GraphProto, ModelProto, SparseTensorProto, TensorProto, helper, load_model_from_string

from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry.external_data import WeightsNotEmbeddedError, embed
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


WEIGHTS: Final = np.arange(8, dtype=np.float32).reshape(4, 2)
LIMIT: Final = 1 << 20


def placed(place: str, tensor: TensorProto) -> bytes:
    model = load_model_from_string(scoring_graph())
    PLACES[place](model, tensor)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_beside_the_graph_is_embedded_at_any_place(tmp_path: Path, place: str) -> None:
    WEIGHTS.tofile(tmp_path / "secret.bin")
    embedded = embed(placed(place, external_tensor()), tmp_path, LIMIT)
    inside = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[4, 2], raw_data=WEIGHTS.tobytes())
    assert embedded.files == ("secret.bin",)
    assert load_model_from_string(embedded.graph) == load_model_from_string(placed(place, inside))
    check_self_contained(embedded.graph)


def test_a_graph_without_tensors_elsewhere_keeps_its_bytes(tmp_path: Path) -> None:
    embedded = embed(scoring_graph(), tmp_path, LIMIT)
    assert (embedded.graph, embedded.files) == (scoring_graph(), ())


@pytest.mark.parametrize(
    ("kind", "dims", "size"),
    [
        (TensorProto.DOUBLE, [3], 24),
        (TensorProto.FLOAT16, [3, 5], 30),
        (TensorProto.BOOL, [], 1),
        (TensorProto.INT4, [3], 2),
        (TensorProto.INT64, [0], 0),
        (TensorProto.COMPLEX128, [2], 32),
    ],
)
def test_a_tensor_without_a_length_has_the_bytes_of_its_shape(
    tmp_path: Path, kind: int, dims: list[int], size: int
) -> None:
    (tmp_path / "w").mkdir()
    content = bytes(range(64))
    (tmp_path / "w" / "all.bin").write_bytes(content)
    tensor = external_tensor("w/all.bin")
    tensor.data_type, tensor.dims[:] = kind, dims
    tensor.external_data.add(key="offset", value="7")
    model = load_model_from_string(embed(placed("initializer", tensor), tmp_path, LIMIT).graph)
    assert model.graph.initializer[-1].raw_data == content[7 : 7 + size]


def entries(**values: str) -> TensorProto:
    tensor = external_tensor()
    for key, value in values.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def of_type(kind: int, dims: list[int]) -> TensorProto:
    tensor = external_tensor()
    tensor.data_type, tensor.dims[:] = kind, dims
    return tensor


UNREADABLE: Final[Mapping[str, tuple[TensorProto, str]]] = {
    "missing": (external_tensor("w/none.bin"), "file 'w/none.bin', which is missing: put it beside the graph"),
    "absolute": (external_tensor("/etc/passwd"), "'/etc/passwd', outside of its own folder"),
    "above": (external_tensor("../secret.bin"), "outside of its own folder"),
    "above a folder": (external_tensor("w/../../secret.bin"), "outside of its own folder"),
    "memory": (external_tensor("*/_ORT_MEM_ADDR_/*"), "which is missing"),
    "no name": (external_tensor(""), "outside of its own folder"),
    "null": (external_tensor("a\0b"), "outside of its own folder"),
    "link": (external_tensor("link.bin"), "'link.bin', a symbolic link to another folder: copy that file here"),
    "linked folder": (external_tensor("linked/secret.bin"), "a symbolic link to another folder"),
    "loop": (external_tensor("loop.bin"), "which is refused: loop.bin cannot be read: Too many levels"),
    "folder": (external_tensor("w"), "which is refused: w is not a regular file"),
    "pipe": (external_tensor("pipe.bin"), "which is refused: pipe.bin is not a regular file"),
    "huge": (external_tensor("huge.bin"), "huge.bin is larger than the limit of 1 MiB"),
    "short": (external_tensor("short.bin"), "has 31 bytes and ends before the tensor 'weights' does"),
    "offset": (entries(offset="1"), "it is not the file that was exported with this graph"),
    "offset below zero": (entries(offset="-8"), "ends before the tensor"),
    "offset without end": (entries(offset="9" * 10_000), "ends before the tensor"),
    "length": (entries(length="31"), "the tensor 'weights' of 32 bytes has 31 bytes: export it again"),
    "unknown type": (of_type(99, [4]), "has an unknown number of bytes: export it again"),
    "text": (of_type(TensorProto.STRING, [4]), "has an unknown number of bytes: export it again"),
    "negative size": (of_type(TensorProto.FLOAT, [-1]), "has an unknown number of bytes: export it again"),
    "astronomic": (of_type(TensorProto.FLOAT, [2**62] * 1000), "larger than the limit of 1 MiB"),
    "more than the limit": (
        of_type(TensorProto.FLOAT, [2**40]),
        "larger than the limit of 1 MiB; --max-graph-mib sets",
    ),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_weights_that_cannot_be_taken_along_are_refused_by_file_and_reason(tmp_path: Path, case: str) -> None:
    folder, outside = tmp_path / "graph", tmp_path / "outside"
    (folder / "w").mkdir(parents=True)
    outside.mkdir()
    for each in (tmp_path, outside, folder):
        WEIGHTS.tofile(each / "secret.bin")
    (folder / "short.bin").write_bytes(bytes(31))
    (folder / "link.bin").symlink_to(outside / "secret.bin")
    (folder / "linked").symlink_to(outside)
    (folder / "loop.bin").symlink_to("loop.bin")
    os.mkfifo(folder / "pipe.bin")
    (folder / "huge.bin").touch()
    os.truncate(folder / "huge.bin", 1 << 30)  # a sparse file
    tensor, message = UNREADABLE[case]
    with pytest.raises(WeightsNotEmbeddedError) as refused:
        embed(placed("initializer", tensor), folder, LIMIT)
    assert message in str(refused.value)
    assert str(tmp_path) not in str(refused.value)


def test_a_link_within_the_folder_of_the_graph_is_followed(tmp_path: Path) -> None:
    WEIGHTS.tofile(tmp_path / "true.bin")
    (tmp_path / "secret.bin").symlink_to("true.bin")
    assert embed(placed("initializer", external_tensor()), tmp_path, LIMIT).files == ("secret.bin",)


def test_tensors_that_share_bytes_count_each_towards_the_limit(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(LIMIT // 2))
    model = load_model_from_string(scoring_graph())
    for _ in range(1000):
        model.graph.initializer.append(of_type(TensorProto.UINT8, [LIMIT // 4]))
    with pytest.raises(WeightsNotEmbeddedError, match="larger than the limit of 1 MiB"):
        embed(model.SerializeToString(), tmp_path, LIMIT)
