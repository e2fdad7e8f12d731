"""Import of an ONNX graph: publish it as a version without a task."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from ondeck_core.errors import ArtifactRefusedError, OndeckError, without_folders
from ondeck_core.manifest import FP32, GOLDEN_FILE, MODEL_FILE, OUTPUT, GraphManifest, Tensor
from ondeck_core.tasks import TASKS
from ondeck_registry.external_data import embed
from ondeck_registry.file_reader import MIB, read_file
from ondeck_registry.onnx_model import ML_DOMAIN, Graph, NodeProto, UneditableGraphError, read_attributes
from ondeck_registry.onnx_session import DATATYPES, OnnxSession, open_graph
from ondeck_registry.publication import next_version, publish
from ondeck_registry.repository import MAX_GRAPH_BYTES
from ondeck_registry.verification import check_graph_golden, make_graph_golden

MAX_IMPORT_MIB: Final = 512  # of a graph with its weights, by default
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TRIALS: Final = (1, 3)  # a dimension that follows these counts is the row dimension
_RANK: Final = 2
_HINTS: Final = {  # what helps, by the message of ONNX Runtime
    r"Unsupported model IR version": "; save it with an older one, as model.ir_version = 10 before onnx.save_model",
    r"Opset \d+ is under development": "; convert it with older operators, as target_opset={'': 18, 'ai.onnx.ml': 3}",
    r"not a registered function|No Op registered": "; ONNX Runtime does not have this operator: convert it with older "
    "operators, as target_opset={'': 18, 'ai.onnx.ml': 3}, and without operators of your own",
}


class UnservableGraphError(OndeckError):
    """A graph cannot be served: its tensors do not allow to batch the rows of several callers."""


@dataclass(frozen=True, kw_only=True)
class ReadGraph:
    """A graph as it is published.

    `weight_files` were embedded; `classes` are those of the columns of each output that was a sequence of maps.
    """

    graph: bytes
    weight_files: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]


def read_graph(path: Path, max_mib: int = MAX_IMPORT_MIB) -> ReadGraph:
    """Read a graph file, with the weights that lie in files beside it, and tensors in place of sequences of maps.

    Raises:
        UnservableGraphError: the file is empty.
        WeightsNotEmbeddedError: weights are missing, elsewhere or too large.
        ArtifactRefusedError: the file cannot be read, or is no ONNX graph.
    """
    content = read_file(path, MAX_GRAPH_BYTES)
    if not content:
        raise UnservableGraphError(f"{path.name} is empty: its export has failed")
    embedded = embed(content, path.parent, max_mib * MIB)
    graph, classes = _replace_map_outputs(embedded.graph)
    return ReadGraph(graph=graph, weight_files=embedded.files, classes=classes)


def publish_graph(models: Path, model: str, graph: bytes, outputs: Sequence[str] = ()) -> GraphManifest:
    """Publish a graph as the next version of a model; `outputs` names the output tensors to serve, empty: all.

    Raises:
        UnservableGraphError: its tensors cannot be served, or the name is invalid or belongs to a task.
        ArtifactRefusedError: it cannot be run, or the outputs of a row depend on the other rows.
    """
    if not _NAME.fullmatch(model):
        raise UnservableGraphError(f"invalid model name {model!r}: use lower-case letters, digits and _")
    if model in TASKS:
        raise UnservableGraphError(
            f"{model} is the model of a task, which `ondeck train` publishes; choose another name"
        )
    opened = _open(graph)
    input_tensor = _input(opened)
    session = OnnxSession(graph, (input_tensor,), _outputs(opened, input_tensor, outputs))
    golden = make_graph_golden(session)
    check_graph_golden(session, golden)

    def sign(digests: Mapping[str, str]) -> GraphManifest:
        return GraphManifest(
            model=model,
            version=next_version(models, model),
            inputs=session.inputs,
            outputs=session.outputs,
            libraries={"onnxruntime": ort.__version__},
            created=datetime.now(UTC),
            files=dict(digests),
        )

    files = {MODEL_FILE: graph, GOLDEN_FILE: (golden.model_dump_json(indent=2) + "\n").encode()}
    return publish(models, files, sign)[1]


def _open(graph: bytes) -> ort.InferenceSession:
    try:
        return open_graph(graph)
    except ArtifactRefusedError as refused:
        hint = next((hint for pattern, hint in _HINTS.items() if re.search(pattern, str(refused))), "")
        raise ArtifactRefusedError(f"{refused}{hint}") from refused


def _input(opened: ort.InferenceSession) -> Tensor:
    nodes = opened.get_inputs()
    if fault := _input_fault(nodes):
        takes = ", ".join(f"{node.name} {node.type} {node.shape}" for node in nodes)
        raise UnservableGraphError(
            f"a graph must take one float32 tensor of shape [rows, n], rows free; it takes {takes}; {fault}"
        )
    return Tensor(name=nodes[0].name, datatype=FP32, shape=(-1, nodes[0].shape[1]))


def _input_fault(nodes: Sequence[ort.NodeArg]) -> str:
    """Return how to export a graph with another input; empty: its input is right."""
    if len(nodes) != 1 or len(nodes[0].shape) != _RANK:
        return "export the model for one array with all columns"
    (rows, width), name = nodes[0].shape, nodes[0].name
    if DATATYPES.get(nodes[0].type) != FP32:
        n = width if isinstance(width, int) else "n"
        return f"convert it with initial_types=[({name!r}, FloatTensorType([None, {n}]))], or float32 sample rows"
    if not isinstance(width, int):
        return f"convert it with the number of columns, as initial_types=[({name!r}, FloatTensorType([None, 5]))]"
    if isinstance(rows, int):
        free = f"initial_types=[({name!r}, FloatTensorType([None, {width}]))]"
        return f"convert it with {free}, or dynamic_axes={{{name!r}: {{0: 'rows'}}}} of torch.onnx.export"
    return ""


def _outputs(opened: ort.InferenceSession, input_tensor: Tensor, selected: Sequence[str]) -> tuple[Tensor, ...]:
    nodes = {node.name: node for node in opened.get_outputs()}
    if unknown := set(selected) - set(nodes):
        raise UnservableGraphError(f"the graph has no output {', '.join(sorted(unknown))}; it has {', '.join(nodes)}")
    names = sorted(selected or nodes, key=lambda name: name != OUTPUT)  # stable: the others keep their order
    for name in names:
        if nodes[name].type not in DATATYPES:
            raise UnservableGraphError(_output_fault(nodes, name))
    try:
        trials = [
            opened.run(names, {input_tensor.name: np.zeros((rows, input_tensor.shape[-1]), np.float32)})
            for rows in _TRIALS
        ]
    except Exception as broken:  # ONNX Runtime documents no error types
        raise ArtifactRefusedError(f"the graph cannot be run: {without_folders(str(broken))}") from broken
    for name, *outputs in zip(names, *trials, strict=True):
        shapes = [output.shape for output in outputs]
        if any(shape[:1] != (rows,) or shape[1:] != shapes[0][1:] for shape, rows in zip(shapes, _TRIALS, strict=True)):
            raise UnservableGraphError(f"output {name} has shapes {shapes} for {_TRIALS} rows: rows must come first")
    return tuple(
        Tensor(name=name, datatype=DATATYPES[nodes[name].type], shape=(-1, *output.shape[1:]))
        for name, output in zip(names, trials[0], strict=True)
    )


def _output_fault(nodes: Mapping[str, ort.NodeArg], name: str) -> str:
    """Return why an output is not served, and the options that help."""
    numbers = [each for each, node in nodes.items() if node.type in DATATYPES]
    options = [f"import it with {' '.join(f'--output {each}' for each in numbers)}"] if numbers else []
    if nodes[name].type.startswith("seq(map("):
        options.append("convert it with zipmap=False (onnxmltools) or options={'zipmap': False} (skl2onnx)")
    helps = ", or ".join(options) or "export an output of numbers"
    return f"output {name} is {nodes[name].type}, and only numbers are served; {helps}"


def _replace_map_outputs(graph: bytes) -> tuple[bytes, dict[str, tuple[str, ...]]]:
    """Return a graph with a tensor of shape [rows, classes] for each output of a ZipMap node, and their classes.

    Such an output is a sequence of maps: CatBoost exports no other probabilities, and the converters of scikit-learn
    and LightGBM do not by default. A graph that cannot be edited stays as it is.
    """
    try:
        edited = Graph(graph)
    except UneditableGraphError:
        return graph, {}
    classes = {node.output[0]: _classes(node) for node in _zip_maps(edited) if _replace(edited, node)}
    return edited.serialize() if classes else graph, classes


def _zip_maps(graph: Graph) -> list[NodeProto]:
    """List the ZipMap nodes of outputs that no other node uses."""
    return [
        node
        for node in graph.nodes
        if (node.domain, node.op_type) == (ML_DOMAIN, "ZipMap")
        and node.output[0] in graph.outputs
        and graph.count_uses(node.output[0]) == 1
    ]


def _replace(graph: Graph, node: NodeProto) -> bool:
    """Give the tensor of a ZipMap node the name of its output, unless it is an output itself or no node computes it."""
    tensor, output = node.input[0], node.output[0]
    if tensor in graph.outputs or graph.producer(tensor) is None:
        return False
    graph.replace(node, [])
    graph.rename(tensor, output)
    graph.infer_type(output)
    return True


def _classes(node: NodeProto) -> tuple[str, ...]:
    """Return the classes of the columns as text."""
    attributes = read_attributes(node) or {}
    numbers, texts = (attributes.get(f"classlabels_{kind}", ()) for kind in ("int64s", "strings"))
    return tuple(map(str, numbers)) or tuple(each.decode(errors="replace") for each in texts)
