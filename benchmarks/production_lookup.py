"""The shipped models, in the version that a server answers with: the one that the `production` alias points to."""

from pathlib import Path
from typing import Final

from ondeck_core.manifest import PRODUCTION
from ondeck_registry.repository import aliases, read_any_manifest
from ondeck_registry.version_optimizer import optimize_version
from ondeck_server.models.servable import LoadedVersion, load_manifest

ROOT: Final = Path(__file__).resolve().parent.parent
MODELS: Final = ROOT / "onnx_models"


def production_version(models: Path, model: str) -> int:
    """Return the version of a model that callers get who name none.

    Raises:
        KeyError: no version of the model is in production.
    """
    return aliases(models, model)[PRODUCTION]


def production_folder(models: Path, model: str) -> Path:
    """Return the folder of the version in production."""
    return models / model / str(production_version(models, model))


def load_production(models: Path, model: str) -> LoadedVersion:
    """Load the version in production as a server loads it, with its optimized graph.

    Raises:
        TypeError: the version is an imported graph.
    """
    folder = production_folder(models, model)
    manifest = read_any_manifest(folder, model, production_version(models, model))
    loaded = load_manifest(folder, manifest, optimize_version(folder, manifest))
    if not isinstance(loaded, LoadedVersion):
        raise TypeError(f"{model} is an imported graph, not a version of a task")
    return loaded
