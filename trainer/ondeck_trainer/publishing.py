"""From a fitted ensemble to a published version: exported, held against the graph, written with all its claims."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from ondeck_core.manifest import (
    CARD_FILE,
    EVALUATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    PARITY_FILE,
    Evaluation,
    Manifest,
    Parity,
    Training,
)
from ondeck_core.tasks import Task
from ondeck_store.artifacts.publishing import next_version, publish
from ondeck_trainer.card import card
from ondeck_trainer.dataset import Dataset
from ondeck_trainer.ensemble import Ensemble
from ondeck_trainer.export import IR_VERSION, OPSET, export
from ondeck_trainer.golden import golden_rows
from ondeck_trainer.parity import check_parity

LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """What was fitted, on what, and how its recipe was judged."""

    ensemble: Ensemble
    training: Training
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class Published:
    """A version as it was left in the repository."""

    folder: Path
    manifest: Manifest
    evaluation: Evaluation
    parity: Parity


def publish_ensemble(fitted: Fitted, *, rows: Dataset, models: Path, parity_rows: int) -> Published:
    """Export an ensemble, hold the graph against it on the last `parity_rows` rows or more, and publish it.

    Raises:
        ParityError: too few rows, or the graph does not answer as the ensemble does; nothing is published.
    """
    task, ensemble, evaluation = rows.task, fitted.ensemble, fitted.evaluation
    graph = export(ensemble, len(task.features.features), len(task.outcomes))
    parity = check_parity(ensemble, graph, rows, seed=fitted.training.seed, least=parity_rows)
    unsigned = _manifest(task, next_version(models, task.name), ensemble, fitted.training)
    files = {
        MODEL_FILE: graph.SerializeToString(),
        GOLDEN_FILE: golden_rows(ensemble, task).model_dump_json().encode(),
        EVALUATION_FILE: _json(evaluation),
        PARITY_FILE: _json(parity),
        CARD_FILE: card(task, unsigned, evaluation, parity).encode(),
    }

    def signed(digests: Mapping[str, str]) -> Manifest:
        return unsigned.model_copy(update={"files": dict(digests)})

    folder, manifest = publish(models, files, signed)
    return Published(folder=folder, manifest=manifest, evaluation=evaluation, parity=parity)


def _manifest(task: Task, version: int, ensemble: Ensemble, training: Training) -> Manifest:
    return Manifest(
        model=task.name,
        version=version,
        task=task.name,
        feature_set=task.features.name,
        feature_fingerprint=task.features.fingerprint,
        feature_names=task.features.names,
        outcomes=task.outcomes,
        training=training,
        members=dict(ensemble.weights),
        libraries={name: installed(name) for name in LIBRARIES},
        opset=OPSET,
        ir_version=IR_VERSION,
        created=datetime.now(UTC).replace(microsecond=0),
        files={},
    )


def _json(claim: BaseModel) -> bytes:
    return (claim.model_dump_json(indent=2) + "\n").encode()
