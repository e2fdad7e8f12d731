"""The model repository, read: which models, versions and aliases lie in the folder."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import ALIASES_FILE, Aliases
from ondeck_registry.artifact_reader import read_evaluation


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """The line of versions of one model, and the names that point into it."""

    model: str
    versions: tuple[int, ...]
    aliases: dict[str, int]


def read_repository(models: Path) -> list[ModelEntry]:
    """List the models of a folder by name; whatever is hidden or not a number is not a version.

    Raises:
        ArtifactRefusedError: there is no such folder, or an aliases.json cannot be read.
    """
    if not models.is_dir():
        what = "is no folder" if models.exists() else "does not exist"
        raise ArtifactRefusedError(
            f"the model repository {models.resolve()} {what}; set ONDECK_MODEL_REPOSITORY or --model-repository"
        )
    names = (path.name for path in sorted(models.iterdir()) if path.is_dir() and not path.name.startswith("."))
    lines = (
        ModelEntry(model=name, versions=tuple(versions(models, name)), aliases=aliases(models, name)) for name in names
    )
    return [line for line in lines if line.versions or line.aliases]


def versions(models: Path, model: str) -> list[int]:
    """List the published versions of a model, in order."""
    folder = models / model
    names = [path.name for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit() and not name.startswith("0"))


def aliases(models: Path, model: str) -> dict[str, int]:
    """Read which names point to which versions of a model.

    Raises:
        ArtifactRefusedError: its aliases.json cannot be read.
    """
    path = models / model / ALIASES_FILE
    if not path.is_file():
        return {}
    try:
        return dict(Aliases.model_validate_json(path.read_bytes()).aliases)
    except ValidationError as wrong:
        raise ArtifactRefusedError(f"{path} cannot be read: {wrong.errors()[0]['msg']}") from wrong


def evaluation_of(models: Path, model: str, version: int) -> Evaluation:
    """Read how a version was judged."""
    return read_evaluation(models / model / str(version))
