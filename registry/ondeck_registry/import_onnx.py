"""Import of an ONNX graph: publish it as a version without a task."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnxruntime as ort

from ondeck_core.errors import ArtifactRefusedError, OndeckError
from ondeck_core.manifest import FP32, GOLDEN_FILE, MODEL_FILE, OUTPUT, GraphManifest, Tensor
from ondeck_core.tasks import TASKS
from ondeck_registry.onnx_session import DATATYPES, OnnxSession, open_graph
from ondeck_registry.publication import next_version, publish
from ondeck_registry.verification import check_graph_golden, make_graph_golden

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TRIALS: Final = (1, 3)  # a dimension that follows these counts is the row dimension
_RANK: Final = 2


class UnservableGraphError(OndeckError):
    """A graph cannot be served: its tensors do not allow to batch the rows of several callers."""


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
    opened = open_graph(graph)
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


def _input(opened: ort.InferenceSession) -> Tensor:
    nodes = opened.get_inputs()
    rows, width = nodes[0].shape if len(nodes) == 1 and len(nodes[0].shape) == _RANK else (None, None)
    if not isinstance(width, int) or isinstance(rows, int) or DATATYPES.get(nodes[0].type) != FP32:
        takes = ", ".join(f"{node.name} {node.type} {node.shape}" for node in nodes)
        raise UnservableGraphError(
            f"a graph must take one float32 tensor of shape [rows, n], rows free; it takes {takes}"
        )
    return Tensor(name=nodes[0].name, datatype=FP32, shape=(-1, width))


def _outputs(opened: ort.InferenceSession, input_tensor: Tensor, selected: Sequence[str]) -> tuple[Tensor, ...]:
    nodes = {node.name: node for node in opened.get_outputs()}
    if unknown := set(selected) - set(nodes):
        raise UnservableGraphError(f"the graph has no output {', '.join(sorted(unknown))}; it has {', '.join(nodes)}")
    names = sorted(selected or nodes, key=lambda name: name != OUTPUT)  # stable: the others keep their order
    for name in names:
        if nodes[name].type not in DATATYPES:
            raise UnservableGraphError(
                f"output {name} is {nodes[name].type}, and only numbers are served; select others with --output"
            )
    try:
        trials = [
            opened.run(names, {input_tensor.name: np.zeros((rows, input_tensor.shape[-1]), np.float32)})
            for rows in _TRIALS
        ]
    except Exception as broken:  # ONNX Runtime documents no error types
        raise ArtifactRefusedError(f"the graph cannot be run: {broken}") from broken
    for name, *outputs in zip(names, *trials, strict=True):
        shapes = [output.shape for output in outputs]
        if any(shape[:1] != (rows,) or shape[1:] != shapes[0][1:] for shape, rows in zip(shapes, _TRIALS, strict=True)):
            raise UnservableGraphError(f"output {name} has shapes {shapes} for {_TRIALS} rows: rows must come first")
    return tuple(
        Tensor(name=name, datatype=DATATYPES[nodes[name].type], shape=(-1, *output.shape[1:]))
        for name, output in zip(names, trials[0], strict=True)
    )
