"""Versions that differ from another in one thing that can be seen: how likely they think the first outcome."""

import math
import shutil
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from ondeck_core.manifest import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, Golden, Manifest
from ondeck_registry.publication import publish

BIAS = "calibration/bias"


def publish_sibling(models: Path, model: str, number: int, *, shift: float, of: int = 1) -> None:
    """Publish a version whose first outcome has `shift` more on the logarithm than that of version `of`."""
    folder = models / model / str(of)
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    files[MODEL_FILE] = _shifted_graph(files[MODEL_FILE], shift)
    files[GOLDEN_FILE] = _shifted_golden(files[GOLDEN_FILE], shift)
    publish(models, files, lambda digests: manifest.model_copy(update={"version": number, "files": dict(digests)}))


def shifted(probabilities: np.ndarray, shift: float) -> np.ndarray:
    """Tell what such a version says where the other says these probabilities, of shape (…, outcomes)."""
    weighed = probabilities * np.array([math.exp(shift)] + [1.0] * (probabilities.shape[-1] - 1))
    return np.asarray(weighed / weighed.sum(axis=-1, keepdims=True))


def copy_without_graph(models: Path, model: str, number: int, *, of: int = 1) -> Path:
    """Copy a version as somebody would who knows nothing of renames, and stop half-way: all but its graph."""
    folder = models / model / str(number)
    shutil.copytree(models / model / str(of), folder, ignore=shutil.ignore_patterns(MODEL_FILE))
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False) as written:
        written.write(manifest.model_copy(update={"version": number}).model_dump_json())
    Path(written.name).replace(folder / MANIFEST_FILE)
    return folder


def _shifted_graph(content: bytes, shift: float) -> bytes:
    graph = onnx.load_from_string(content)
    (bias,) = (each for each in graph.graph.initializer if each.name == BIAS)
    values = numpy_helper.to_array(bias).copy()
    values[0] += shift
    bias.CopyFrom(numpy_helper.from_array(values, BIAS))
    return bytes(graph.SerializeToString())


def _shifted_golden(content: bytes, shift: float) -> bytes:
    golden = Golden.model_validate_json(content)
    moved = shifted(np.array(golden.probabilities), shift)
    return golden.model_copy(update={"probabilities": tuple(map(tuple, moved.tolist()))}).model_dump_json().encode()
