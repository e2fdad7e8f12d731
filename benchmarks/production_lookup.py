"""The shipped models, in the version that a server answers with: the one that the `production` alias points to."""

from pathlib import Path
from typing import Final

from ondeck_core.manifest import PRODUCTION
from ondeck_registry.repository import aliases
from ondeck_server.models.servable import LoadedVersion, load

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
    """Load the version in production as a server loads it."""
    return load(production_folder(models, model), model, production_version(models, model))
