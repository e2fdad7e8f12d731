"""A repository with everything in it that an operator fears, made of one good version."""

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
WIDE, DEEP = 512, 30  # of what a slow graph multiplies
FATAL_SPEED: Final = 61.125  # mph; no golden row has it, and float32 holds it exactly


def add_broken_versions(repository: Path) -> Path:
    """Put beside the good version of a model one that is no better, one that is broken and one that fails in a run.

    `production` is good, `candidate` broken, `fragile` fails where the ball leaves the bat at FATAL_SPEED; UNNAMED is
    good and no alias leads to it.
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
    """Put a model beside the others whose only version is broken."""
    copy = Path(shutil.copytree(repository / MODEL / str(BROKEN), repository / BROKEN_MODEL / "1"))
    edit_manifest(copy, model=BROKEN_MODEL, version=1)
    return repository


def add_slow_version(repository: Path) -> Path:
    """Put a version beside the others, `slow`, that answers as the good one does, and takes its time."""
    folder = repository / MODEL
    _copy_version(folder, SLOW)
    _sign(folder / str(SLOW), make_slow((folder / str(GOOD) / MODEL_FILE).read_bytes()))
    aliases = json.loads((folder / ALIASES_FILE).read_text())["aliases"]
    (folder / ALIASES_FILE).write_text(json.dumps({"aliases": {**aliases, "slow": SLOW}}))
    return repository


def make_slow(graph: bytes) -> bytes:
    """Have a graph multiply large matrices of nothing, part of a millisecond a row, and add what comes out."""
    model = _rename_output(graph)
    nothing = np.zeros((WIDE, WIDE), dtype=np.float32)
    model.graph.initializer.extend(
        [
            helper.make_tensor("wide", TensorProto.INT64, [1], [WIDE]),
            numpy_helper.from_array(nothing, "nothing"),
        ]
    )
    model.graph.node.extend(
        [
            helper.make_node("Shape", ["features"], ["rows"], start=0, end=1),
            helper.make_node("Concat", ["rows", "wide"], ["shape"], axis=0),
            helper.make_node("ConstantOfShape", ["shape"], ["product_0"]),
            *(helper.make_node("MatMul", [f"product_{n}", "nothing"], [f"product_{n + 1}"]) for n in range(DEEP)),
            helper.make_node("ReduceMax", [f"product_{DEEP}"], ["greatest"], keepdims=0),
            helper.make_node("Add", ["answered", "greatest"], [OUTPUT]),
        ]
    )
    return bytes(model.SerializeToString())


def make_fragile(graph: bytes) -> bytes:
    """Have a graph look beyond the end of a list where the first feature is FATAL_SPEED."""
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
            helper.make_node("ReduceMax", ["fatal"], ["place"], keepdims=0),
            helper.make_node("Gather", ["only_one", "place"], ["one"]),
            helper.make_node("Mul", ["answered", "one"], [OUTPUT]),
        ]
    )
    return bytes(model.SerializeToString())


def _rename_output(graph: bytes) -> onnx.ModelProto:
    """Have a graph call its output `answered`, so that something can come after it."""
    model = onnx.load_model_from_string(graph)
    for node in model.graph.node:
        node.output[:] = ["answered" if name == OUTPUT else name for name in node.output]
        node.input[:] = ["answered" if name == OUTPUT else name for name in node.input]
    return model


def _copy_version(folder: Path, number: int) -> None:
    copy = Path(shutil.copytree(folder / str(GOOD), folder / str(number)))
    edit_manifest(copy, version=number)


def _sign(folder: Path, graph: bytes) -> None:
    (folder / MODEL_FILE).write_bytes(graph)
    files = json.loads((folder / MANIFEST_FILE).read_text())["files"]
    edit_manifest(folder, files={**files, MODEL_FILE: hashlib.sha256(graph).hexdigest()})


def edit_manifest(folder: Path, **claims: object) -> None:
    """Change what a version claims."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text())
    (folder / MANIFEST_FILE).write_text(json.dumps({**manifest, **claims}))
