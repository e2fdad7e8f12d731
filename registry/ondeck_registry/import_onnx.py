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
from ondeck_registry.golden_check import check_own_answers, own_answers
from ondeck_registry.onnx_session import DATATYPES, OnnxSession, open_graph
from ondeck_registry.publication import next_version, publish

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_TRIED: Final = (1, 3)  # rows; what differs between the two is the dimension of the rows
_RANK: Final = 2


class UnservableGraphError(OndeckError):
    """A graph cannot be served: its tensors are not of the kind that callers may share runs of."""


def publish_graph(models: Path, model: str, graph: bytes, outputs: Sequence[str] = ()) -> GraphManifest:
    """Publish a graph as the next version of a model; `outputs` names those of its tensors that are served, "" all.

    Raises:
        UnservableGraphError: its tensors are not of the kind that can be served, or the name belongs to a task.
        ArtifactRefusedError: it cannot be run, or a row's answer depends on its neighbours.
    """
    if not _NAME.fullmatch(model):
        raise UnservableGraphError(f"{model!r} is no name for a model: lower-case letters, digits and _ make one")
    if model in TASKS:
        raise UnservableGraphError(
            f"{model} is the model of a task, which `ondeck train` publishes; choose another name"
        )
    opened = open_graph(graph)
    takes = _input(opened)
    session = OnnxSession(graph, (takes,), _outputs(opened, takes, outputs))
    golden = own_answers(session)
    check_own_answers(session, golden)

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
    ends = opened.get_inputs()
    rows, width = ends[0].shape if len(ends) == 1 and len(ends[0].shape) == _RANK else (None, None)
    if not isinstance(width, int) or isinstance(rows, int) or DATATYPES.get(ends[0].type) != FP32:
        takes = ", ".join(f"{end.name} {end.type} {end.shape}" for end in ends)
        raise UnservableGraphError(
            f"a graph must take one float32 tensor of shape [rows, n], rows free; it takes {takes}"
        )
    return Tensor(name=ends[0].name, datatype=FP32, shape=(-1, width))


def _outputs(opened: ort.InferenceSession, takes: Tensor, wanted: Sequence[str]) -> tuple[Tensor, ...]:
    ends = {end.name: end for end in opened.get_outputs()}
    if unknown := set(wanted) - set(ends):
        raise UnservableGraphError(f"the graph gives no {', '.join(sorted(unknown))}; it gives {', '.join(ends)}")
    names = sorted(wanted or ends, key=lambda name: name != OUTPUT)  # stable: the others keep their order
    for name in names:
        if ends[name].type not in DATATYPES:
            raise UnservableGraphError(
                f"output {name} is {ends[name].type}, and only numbers are served; choose others with --output"
            )
    try:
        tried = [opened.run(names, {takes.name: np.zeros((rows, takes.shape[-1]), np.float32)}) for rows in _TRIED]
    except Exception as broken:  # whatever ONNX Runtime raises
        raise ArtifactRefusedError(f"the graph cannot be run: {broken}") from broken
    for name, *outputs in zip(names, *tried, strict=True):
        shapes = [output.shape for output in outputs]
        if any(shape[:1] != (rows,) or shape[1:] != shapes[0][1:] for shape, rows in zip(shapes, _TRIED, strict=True)):
            raise UnservableGraphError(f"output {name} is of shapes {shapes} for {_TRIED} rows: rows must come first")
    return tuple(
        Tensor(name=name, datatype=DATATYPES[ends[name].type], shape=(-1, *output.shape[1:]))
        for name, output in zip(names, tried[0], strict=True)
    )
