"""Publication of a fitted ensemble: export the graph, check parity, write the version with its metadata files."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Final

import numpy as np
from pydantic import BaseModel

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation
from ondeck_core.field_drift import compute_profile
from ondeck_core.instances import InstanceType, Matrix, valid_mask
from ondeck_core.manifest import (
    BACKGROUND_FILE,
    CARD_FILE,
    EVALUATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    PARITY_FILE,
    PROFILE_FILE,
    Background,
    Manifest,
    Parity,
    PredictionSets,
    Training,
)
from ondeck_core.tasks import TASKS, Task
from ondeck_registry.publication import Sign, next_version, publish, replace_files
from ondeck_registry.repository import read_evaluation, read_files, read_json, read_manifest, read_repository
from ondeck_trainer.artifact.model_card import render_report
from ondeck_trainer.artifact.onnx_export import IR_VERSION, OPSET, export
from ondeck_trainer.artifact.parity import check_parity, compute_golden_rows
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.model.ensemble import Ensemble, Probabilities

LIBRARIES: Final = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")
BACKGROUND_ROWS: Final = 24
_BACKGROUND_POOL: Final = 5000
_BACKGROUND_DRAWS: Final = 200
_NOISE: Final = 0.1  # standard deviations


@dataclass(frozen=True, kw_only=True)
class PublishableModel:
    """A fitted ensemble with its training metadata, its prediction sets and the evaluation of its recipe."""

    ensemble: Ensemble
    training: Training
    prediction_sets: tuple[PredictionSets, ...]
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class PublishedVersion:
    """A version in the repository."""

    folder: Path
    manifest: Manifest
    evaluation: Evaluation
    parity: Parity


def publish_ensemble(fitted: PublishableModel, *, rows: Dataset, models: Path, parity_rows: int) -> PublishedVersion:
    """Export an ensemble, check parity on at least the last `parity_rows` rows, and publish it as the next version.

    Raises:
        ParityError: too few rows, or the graph differs from the ensemble; nothing is published.
    """
    task, ensemble, evaluation = rows.task, fitted.ensemble, fitted.evaluation
    graph = export(ensemble, len(task.features.features), len(task.outcomes))
    parity = check_parity(ensemble, graph, rows, seed=fitted.training.seed, min_rows=parity_rows)
    unsigned = _manifest(task, next_version(models, task.name), fitted)
    instances = rows.between(fitted.training.fit_window).instances
    background = choose_background(
        task.instance,
        instances,
        lambda chosen: ensemble.predict(task.features.compute(chosen)),
        fitted.training.seed,
    )
    files = {
        MODEL_FILE: graph.SerializeToString(),
        GOLDEN_FILE: compute_golden_rows(ensemble, task).model_dump_json().encode(),
        BACKGROUND_FILE: background.model_dump_json().encode(),
        PROFILE_FILE: compute_profile(task.instance, instances).model_dump_json().encode(),
        EVALUATION_FILE: to_json(evaluation),
        PARITY_FILE: to_json(parity),
        **render_report(task, unsigned, evaluation, parity),
    }
    folder, manifest = publish(models, files, make_signer(unsigned))
    return PublishedVersion(folder=folder, manifest=manifest, evaluation=evaluation, parity=parity)


def update_reports(models: Path) -> list[str]:
    """Render the model cards of a repository again, sign those that differ, and return their names.

    A version of another format or with invalid files is skipped.
    """
    updated = []
    for entry in read_repository(models):
        for version in entry.versions:
            folder = models / entry.model / str(version)
            try:
                manifest = read_manifest(folder, entry.model, version)
                sources = {name: manifest.files[name] for name in (EVALUATION_FILE, PARITY_FILE)}
                read_files(folder, manifest.model_copy(update={"files": sources}))
                evaluation, parity = read_evaluation(folder), read_json(Parity, folder / PARITY_FILE)
            except (ArtifactRefusedError, KeyError):
                continue
            report = render_report(TASKS[manifest.task], manifest, evaluation, parity)
            if manifest.files.get(CARD_FILE) != hashlib.sha256(report[CARD_FILE]).hexdigest():
                replace_files(models, manifest, report)
                updated.append(f"{entry.model} {version} {CARD_FILE}")
    return updated


def make_signer(unsigned: Manifest) -> Sign:
    """Return a function that adds the digests of the files to a manifest."""

    def sign(digests: Mapping[str, str]) -> Manifest:
        return unsigned.model_copy(update={"files": dict(digests)})

    return sign


def to_json(document: BaseModel) -> bytes:
    """Serialize a metadata file as indented JSON without null fields."""
    return (document.model_dump_json(indent=1, exclude_none=True) + "\n").encode()


def choose_background(
    instance: InstanceType, instances: Matrix, predict: Callable[[Matrix], Probabilities], seed: int
) -> Background:
    """Choose the background rows of explanations: 24 training rows with noise, so that no real pitch is published.

    Of 200 draws, the one with the mean prediction nearest to that of the whole pool is chosen.
    """
    draw = np.random.default_rng(seed)
    chosen = draw.choice(len(instances), min(_BACKGROUND_POOL, len(instances)), replace=False)
    pool = _add_noise(instance, instances[chosen], draw)
    pool = pool[valid_mask(instance, pool)]
    probabilities = predict(pool)
    draws = [draw.choice(len(pool), BACKGROUND_ROWS, replace=False) for _ in range(_BACKGROUND_DRAWS)]
    mean = probabilities.mean(axis=0)
    best = min(draws, key=lambda rows: np.abs(probabilities[rows].mean(axis=0) - mean).sum())
    return Background(
        fields=instance.names,
        instances=tuple(tuple(None if np.isnan(value) else float(value) for value in row) for row in pool[best]),
    )


def _add_noise(instance: InstanceType, instances: Matrix, draw: np.random.Generator) -> Matrix:
    noisy = instances.copy()
    for position, field in enumerate(instance.fields):
        if field.codes is None and not field.integer:
            column = instances[:, position]
            deviation = float(np.nanstd(column)) if not np.isnan(column).all() else 0.0
            noisy[:, position] += draw.normal(0, _NOISE * deviation, len(column)).astype(np.float32)
    return noisy


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
        libraries={name: installed_version(name) for name in LIBRARIES},
        opset=OPSET,
        ir_version=IR_VERSION,
        created=datetime.now(UTC).replace(microsecond=0),
        files={},
    )
