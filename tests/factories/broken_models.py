"""Repositories with broken, failing and slow versions, derived from one good version."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ondeck_core.manifest import ALIASES_FILE, MANIFEST_FILE, MODEL_FILE, OUTPUT

MODEL: Final = "batted_ball"
GOOD, NO_BETTER, BROKEN, FRAGILE, UNNAMED, SLOW = 1, 2, 3, 4, 5, 6
BROKEN_MODEL: Final = "add_broken_model"
WIDE, DEEP = 512, 30  # size and number of the matrices that a slow graph multiplies
FATAL_SPEED: Final = 61.125  # mph; no golden row has it, and float32 holds it exactly


def add_broken_versions(repository: Path) -> Path:
    """Add a version that is no better, one that is broken and one that fails when it runs.

    `production` is good, `candidate` broken, `fragile` fails for launch_speed == FATAL_SPEED; UNNAMED is good and has
    no alias.
    """
    folder = repository / MODEL
    for number in (NO_BETTER, BROKEN, FRAGILE, UNNAMED):
        _copy_version(folder, number)
    (folder / str(BROKEN) / MODEL_FILE).write_bytes(b"no graph")
    _sign(folder / str(FRAGILE), make_fragile((folder / str(GOOD) / MODEL_FILE).read_bytes()))
    aliases = {"aliases": {"production": GOOD, "candidate": BROKEN, "fragile": FRAGILE}}
    (folder / ALIASES_FILE).write_text(json.dumps(aliases))
    return repository


def add_broken_model(repository: Path) -> Path:
    """Add a model whose only version is broken."""
    copy = Path(shutil.copytree(repository / MODEL / str(BROKEN), repository / BROKEN_MODEL / "1"))
    edit_manifest(copy, model=BROKEN_MODEL, version=1)
    return repository


def add_slow_version(repository: Path) -> Path:
    """Add a version with the alias `slow` that gives the same output as the good one, but slowly."""
    folder = repository / MODEL
    _copy_version(folder, SLOW)
    _sign(folder / str(SLOW), make_slow((folder / str(GOOD) / MODEL_FILE).read_bytes()))
    aliases = json.loads((folder / ALIASES_FILE).read_text())["aliases"]
    (folder / ALIASES_FILE).write_text(json.dumps({"aliases": {**aliases, "slow": SLOW}}))
    return repository


def make_slow(graph: bytes) -> bytes:
    """Return a graph that also multiplies large zero matrices, part of a millisecond per row."""
    model = _rename_output(graph)
    zeros = np.zeros((WIDE, WIDE), dtype=np.float32)
    model.graph.initializer.extend(
        [
            helper.make_tensor("wide", TensorProto.INT64, [1], [WIDE]),
            numpy_helper.from_array(zeros, "zeros"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["features"], ["rows"], start=0, end=1),
            helper.make_node("Concat", ["rows", "wide"], ["shape"], axis=0),
            helper.make_node("ConstantOfShape", ["shape"], ["product_0"]),
            *(helper.make_node("MatMul", [f"product_{n}", "zeros"], [f"product_{n + 1}"]) for n in range(DEEP)),
            helper.make_node("ReduceMax", [f"product_{DEEP}"], ["greatest"], keepdims=0),
            helper.make_node("Add", ["original_output", "greatest"], [OUTPUT]),
        ]
    )
    return bytes(model.SerializeToString())


def make_fragile(graph: bytes) -> bytes:
    """Return a graph that indexes out of bounds if the first feature is FATAL_SPEED."""
    model = _rename_output(graph)
    model.graph.initializer.extend(
        [
            helper.make_tensor("speed_column", TensorProto.INT64, [1], [0]),
            helper.make_tensor("fatal_speed", TensorProto.FLOAT, [1], [FATAL_SPEED]),
            helper.make_tensor("only_one", TensorProto.FLOAT, [1], [1.0]),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("Gather", ["features", "speed_column"], ["speed"], axis=1),
            helper.make_node("Equal", ["speed", "fatal_speed"], ["is_fatal"]),
            helper.make_node("Cast", ["is_fatal"], ["fatal"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["fatal"], ["index"], keepdims=0),
            helper.make_node("Gather", ["only_one", "index"], ["one"]),
            helper.make_node("Mul", ["original_output", "one"], [OUTPUT]),
        ]
    )
    return bytes(model.SerializeToString())


def _rename_output(graph: bytes) -> onnx.ModelProto:
    """Rename the output to `original_output`, so that nodes can be appended."""
    model = onnx.load_model_from_string(graph)
    for node in model.graph.node:
        node.output[:] = ["original_output" if name == OUTPUT else name for name in node.output]
        node.input[:] = ["original_output" if name == OUTPUT else name for name in node.input]
    return model


def _copy_version(folder: Path, number: int) -> None:
    copy = Path(shutil.copytree(folder / str(GOOD), folder / str(number)))
    edit_manifest(copy, version=number)


def _sign(folder: Path, graph: bytes) -> None:
    (folder / MODEL_FILE).write_bytes(graph)
    files = json.loads((folder / MANIFEST_FILE).read_text())["files"]
    edit_manifest(folder, files={**files, MODEL_FILE: hashlib.sha256(graph).hexdigest()})


def edit_manifest(folder: Path, **fields: object) -> None:
    """Change fields of a manifest."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, **fields}))
