"""Ways to break one model of a repository on disk; every other model of the repository stays as it is."""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import onnx

from ondeck_core.manifest import ALIASES_FILE, GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE

Break = Callable[[Path], object]  # the folder of a model with one version

_LARGE: Final = 300 << 20  # bytes; a sparse file
_DEEP: Final = 100_000


def _replace_with_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _replace_with_loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _replace_with_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _replace_with_device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _enlarge(path: Path) -> None:
    os.truncate(path, _LARGE)


def _edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _keep_weights_elsewhere(folder: Path) -> None:
    """Move the first tensor of the graph to a file of the same folder, and sign the graph."""
    model = onnx.load_model(folder / MODEL_FILE)
    tensor = model.graph.initializer[0]
    (folder / "weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=str(folder / "weights.bin"))
    replace_graph(folder, model.SerializeToString())


def replace_graph(folder: Path, content: bytes) -> None:
    """Replace the graph of a version, and sign it."""
    (folder / MODEL_FILE).write_bytes(content)
    files = json.loads((folder / MANIFEST_FILE).read_text())["files"]
    _edit_manifest(folder, files=files | {MODEL_FILE: hashlib.sha256(content).hexdigest()})


def _loop_folder(path: Path) -> None:
    shutil.rmtree(path)
    path.symlink_to(path.name)


ALIAS_FAULTS: Final[Mapping[str, Break]] = {
    "aliases_folder": lambda model: _replace_with_folder(model / ALIASES_FILE),
    "aliases_loop": lambda model: _replace_with_loop(model / ALIASES_FILE),
    "aliases_pipe": lambda model: _replace_with_pipe(model / ALIASES_FILE),
    "aliases_device": lambda model: _replace_with_device(model / ALIASES_FILE),
    "aliases_cut": lambda model: (model / ALIASES_FILE).write_text('{"aliases": {"production": 1'),
    "aliases_binary": lambda model: (model / ALIASES_FILE).write_bytes(bytes(range(256))),
    "aliases_list": lambda model: (model / ALIASES_FILE).write_text("[1, 2]"),
    "aliases_text": lambda model: (model / ALIASES_FILE).write_text('{"aliases": {"production": "first"}}'),
    "aliases_huge_number": lambda model: (model / ALIASES_FILE).write_text(
        '{"aliases": {"production": 1%s}}' % ("0" * 30)
    ),
    "aliases_control": lambda model: (model / ALIASES_FILE).write_text('{"aliases": {"a\\u001b[31m": 1}}'),
    "aliases_deep": lambda model: (model / ALIASES_FILE).write_text("[" * _DEEP),
    "aliases_large": lambda model: _enlarge(model / ALIASES_FILE),
    "model_loop": _loop_folder,
}
VERSION_FAULTS: Final[Mapping[str, Break]] = {
    "manifest_folder": lambda model: _replace_with_folder(model / "1" / MANIFEST_FILE),
    "manifest_loop": lambda model: _replace_with_loop(model / "1" / MANIFEST_FILE),
    "manifest_pipe": lambda model: _replace_with_pipe(model / "1" / MANIFEST_FILE),
    "manifest_device": lambda model: _replace_with_device(model / "1" / MANIFEST_FILE),
    "manifest_large": lambda model: _enlarge(model / "1" / MANIFEST_FILE),
    "manifest_deep": lambda model: (model / "1" / MANIFEST_FILE).write_text("{" * _DEEP),
    "manifest_long_name": lambda model: _edit_manifest(model / "1", model="x" * 900_000),
    "manifest_control": lambda model: _edit_manifest(model / "1", model="a\x1b[31m\n"),
    "manifest_path": lambda model: _edit_manifest(model / "1", files={MODEL_FILE: "0" * 64, "/dev/zero": "0" * 64}),
    "manifest_without_graph": lambda model: _edit_manifest(model / "1", files={GOLDEN_FILE: "0" * 64}),
    "graph_folder": lambda model: _replace_with_folder(model / "1" / MODEL_FILE),
    "graph_loop": lambda model: _replace_with_loop(model / "1" / MODEL_FILE),
    "graph_pipe": lambda model: _replace_with_pipe(model / "1" / MODEL_FILE),
    "graph_device": lambda model: _replace_with_device(model / "1" / MODEL_FILE),
    "graph_external": lambda model: _keep_weights_elsewhere(model / "1"),
    "golden_large": lambda model: _enlarge(model / "1" / GOLDEN_FILE),
    "version_loop": lambda model: _loop_folder(model / "1"),
}


def break_every_way(models: Path, healthy: Path) -> None:
    """Add one broken copy of a healthy model for each fault, named after it."""
    for name, break_model in {**ALIAS_FAULTS, **VERSION_FAULTS}.items():
        break_model(copy_model(healthy, models / name))


def add_invalid_names(models: Path, healthy: Path) -> None:
    """Add models and versions with names that no model has: control characters, invalid UTF-8, huge numbers."""
    for name in (b"bad\x1b[31m\nname", b"caf\xff", b"n" * 255):
        shutil.copytree(healthy, models / os.fsdecode(name))
    model = copy_model(healthy, models / "huge_numbers")
    for number in (2**32, 2**63, 2**64 + 1, 10**200):
        shutil.copytree(model / "1", model / str(number))


def copy_model(model: Path, target: Path) -> Path:
    """Copy a model under another name."""
    shutil.copytree(model, target)
    for version in (each for each in target.iterdir() if each.is_dir()):
        _edit_manifest(version, model=target.name, version=int(version.name))
    return target


def lease(path: Path) -> int:
    """Take an exclusive lease on a file, which holds up other opens until it is closed; return its descriptor."""
    descriptor = os.open(path, os.O_RDWR)
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    return descriptor
