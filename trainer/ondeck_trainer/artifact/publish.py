"""From a fitted ensemble to a published version: exported, held against the graph, written with all its claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from ondeck_core.drift import compute_profile
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import (
    BACKGROUND_FILE,
    CARD_FILE,
    EVALUATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    PARITY_FILE,
    PROFILE_FILE,
    RELIABILITY_FILE,
    Manifest,
    Parity,
    PredictionSets,
    Training,
)
from ondeck_core.tasks import Task
from ondeck_registry.publication import Sign, next_version, publish
from ondeck_trainer.artifact.background import background
from ondeck_trainer.artifact.golden_rows import golden_rows
from ondeck_trainer.artifact.model_card import card
from ondeck_trainer.artifact.onnx_export import IR_VERSION, OPSET, export
from ondeck_trainer.artifact.parity import check_parity
from ondeck_trainer.artifact.plots import reliability_curves
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.model.ensemble import Ensemble

LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


@dataclass(frozen=True, kw_only=True)
class PublishableModel:
    """What was fitted, on what, what its prediction sets are, and how its recipe was judged."""

    ensemble: Ensemble
    training: Training
    prediction_sets: tuple[PredictionSets, ...]
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class PublishedVersion:
    """A version as it was left in the repository."""

    folder: Path
    manifest: Manifest
    evaluation: Evaluation
    parity: Parity


def publish_ensemble(fitted: PublishableModel, *, rows: Dataset, models: Path, parity_rows: int) -> PublishedVersion:
    """Export an ensemble, hold the graph against it on the last `parity_rows` rows or more, and publish it.

    Raises:
        ParityError: too few rows, or the graph does not answer as the ensemble does; nothing is published.
    """
    task, ensemble, evaluation = rows.task, fitted.ensemble, fitted.evaluation
    graph = export(ensemble, len(task.features.features), len(task.outcomes))
    parity = check_parity(ensemble, graph, rows, seed=fitted.training.seed, least=parity_rows)
    unsigned = _manifest(task, next_version(models, task.name), fitted)
    learned = rows.between(fitted.training.fit_window).instances
    usual = background(
        task.instance,
        learned,
        lambda instances: ensemble.predict(task.features.compute(instances)),
        fitted.training.seed,
    )
    files = {
        MODEL_FILE: graph.SerializeToString(),
        GOLDEN_FILE: golden_rows(ensemble, task).model_dump_json().encode(),
        BACKGROUND_FILE: usual.model_dump_json().encode(),
        PROFILE_FILE: compute_profile(task.instance, learned).model_dump_json().encode(),
        EVALUATION_FILE: as_json(evaluation),
        PARITY_FILE: as_json(parity),
        RELIABILITY_FILE: reliability_curves(
            evaluation.reliability, f"{task.name}, judged on {evaluation.evaluation_window}"
        ),
        CARD_FILE: card(task, unsigned, evaluation, parity).encode(),
    }
    folder, manifest = publish(models, files, signing(unsigned))
    return PublishedVersion(folder=folder, manifest=manifest, evaluation=evaluation, parity=parity)


def signing(unsigned: Manifest) -> Sign:
    """Make what puts the digests of the files into a manifest."""

    def sign(digests: Mapping[str, str]) -> Manifest:
        return unsigned.model_copy(update={"files": dict(digests)})

    return sign


def as_json(claim: BaseModel) -> bytes:
    """Write a claim for people and programs; what is not known is left away."""
    return (claim.model_dump_json(indent=1, exclude_none=True) + "\n").encode()


def _manifest(task: Task, version: int, fitted: PublishableModel) -> Manifest:
    return Manifest(
        model=task.name,
        version=version,
        task=task.name,
        feature_set=task.features.name,
        feature_fingerprint=task.features.fingerprint,
        feature_names=task.features.names,
        outcomes=task.outcomes,
        training=fitted.training,
        members=dict(fitted.ensemble.weights),
        prediction_sets=fitted.prediction_sets,
        libraries={name: installed(name) for name in LIBRARIES},
        opset=OPSET,
        ir_version=IR_VERSION,
        created=datetime.now(UTC).replace(microsecond=0),
        files={},
    )
