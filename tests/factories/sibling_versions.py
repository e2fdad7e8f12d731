"""Versions that differ from another only in the probability of the first outcome."""

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
    """Publish a copy of version `of` with `shift` added to the logit of its first outcome."""
    folder = models / model / str(of)
    manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    files = {name: (folder / name).read_bytes() for name in manifest.files}
    files[MODEL_FILE] = _shifted_graph(files[MODEL_FILE], shift)
    files[GOLDEN_FILE] = _shifted_golden(files[GOLDEN_FILE], shift)
    publish(models, files, lambda digests: manifest.model_copy(update={"version": number, "files": dict(digests)}))


def shifted(probabilities: np.ndarray, shift: float) -> np.ndarray:
    """Return the probabilities of the shifted version, of shape (…, outcomes)."""
    weighted = probabilities * np.array([math.exp(shift)] + [1.0] * (probabilities.shape[-1] - 1))
    return np.asarray(weighted / weighted.sum(axis=-1, keepdims=True))


def copy_without_graph(models: Path, model: str, number: int, *, of: int = 1) -> Path:
    """Copy a version non-atomically and stop before its graph."""
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
    probabilities = shifted(np.array(golden.probabilities), shift)
    return (
        golden.model_copy(update={"probabilities": tuple(map(tuple, probabilities.tolist()))})
        .model_dump_json()
        .encode()
    )
