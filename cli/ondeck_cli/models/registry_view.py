"""Versions as they lie in the repository: what they claim, without being opened."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation, scores
from ondeck_core.manifest import MODEL_FILE, GraphManifest, Manifest
from ondeck_registry.repository import ModelEntry, read_any_manifest, read_evaluation


@dataclass(frozen=True, kw_only=True)
class VersionListing:
    """One version; `reason` says why its claims cannot be read, if so."""

    model: str
    version: int
    aliases: tuple[str, ...]
    graph_bytes: int | None
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None
    reason: str = ""

    def log_loss(self, predictor: str) -> float | None:
        """Tell how a predictor met the outcomes, if that is on record."""
        known = scores(self.evaluation) if self.evaluation else []
        found = [each.log_loss for each in known if (each.question, each.predictor) == ("outcomes", predictor)]
        return found[0] if found else None


def on_the_shelf(models: Path, line: ModelEntry) -> list[VersionListing]:
    """Read the claims of every version of a model."""
    return [_shelved(models / line.model / str(version), line, version) for version in line.versions]


def as_data(each: VersionListing) -> dict[str, Any]:
    """Lay a version out for programs; what is not known is null."""
    manifest, evaluation = each.manifest, each.evaluation
    return {
        "model": each.model,
        "version": each.version,
        "aliases": list(each.aliases),
        "created": manifest and manifest.created.isoformat(),
        "digest": manifest and manifest.files.get(MODEL_FILE),
        "evaluation_window": evaluation and evaluation.evaluation_window.model_dump(mode="json"),
        "evaluation_rows": evaluation and evaluation.rows,
        "log_loss": each.log_loss("model"),
        "log_loss_of_constant": each.log_loss("constant"),
        "graph_bytes": each.graph_bytes,
        "reason": each.reason or None,
    }


def _shelved(folder: Path, line: ModelEntry, version: int) -> VersionListing:
    aliases = tuple(sorted(alias for alias, target in line.aliases.items() if target == version))
    graph = folder / MODEL_FILE
    size = graph.stat().st_size if graph.is_file() else None
    try:
        manifest = read_any_manifest(folder, line.model, version)
        evaluation = read_evaluation(folder) if isinstance(manifest, Manifest) else None
    except ArtifactRefusedError as refused:
        return VersionListing(model=line.model, version=version, aliases=aliases, graph_bytes=size, reason=str(refused))
    return VersionListing(
        model=line.model,
        version=version,
        aliases=aliases,
        graph_bytes=size,
        manifest=manifest,
        evaluation=evaluation,
    )
