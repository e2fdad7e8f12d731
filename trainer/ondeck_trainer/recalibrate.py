"""Recalibration: a new version with the same members, a calibration fitted on recent days and its own evaluation."""

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from ondeck_core.errors import ArtifactRefusedError, NotFoundError, OndeckError
from ondeck_core.evaluation import Evaluation, Metrics, version_baseline
from ondeck_core.instances import Matrix
from ondeck_core.manifest import (
    EVALUATION_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    PARITY_FILE,
    Golden,
    Manifest,
    Window,
)
from ondeck_registry.publication import next_version, publish
from ondeck_registry.repository import read_json
from ondeck_trainer.artifact.model_card import render_report
from ondeck_trainer.artifact.onnx_export import WEIGHTS, replace_calibration
from ondeck_trainer.artifact.parity import require_parity
from ondeck_trainer.artifact.publish import make_signer, to_json
from ondeck_trainer.artifact.published_model import ModelGraph, PublishedModel, open_version
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.evaluation.evaluate import compute_metrics
from ondeck_trainer.evaluation.published_versions import evaluate_graph, training_days
from ondeck_trainer.model.ensemble import (
    MIN_LOG,
    Calibration,
    Probabilities,
    fit_calibration,
    fit_prediction_sets,
    pool,
)

MIN_ROWS: Final = 4000
MIN_PART: Final = 2000  # rows to calibrate on, and rows to evaluate on


class OverlappingDaysError(OndeckError):
    """A version was fitted or calibrated on some of the days, so its metrics on them would be too good."""


class TooFewRowsError(OndeckError):
    """The recent rows are too few to calibrate and to evaluate on."""


@dataclass(frozen=True, kw_only=True)
class RecalibratedVersion:
    """A published version with its own calibration and evaluation."""

    folder: Path
    manifest: Manifest
    calibration: Calibration
    evaluation: Evaluation


@dataclass(frozen=True, kw_only=True)
class _CalibratedPool:
    """The pooled members of a graph with another calibration, computed by numpy."""

    members: ModelGraph
    weights: NDArray[np.float64]
    calibration: Calibration

    def predict(self, features: Matrix) -> Probabilities:
        return self.calibration.apply(_pooled(self.members, self.weights, features))


def recalibrate(base: PublishedModel, recent: Dataset, models: Path) -> RecalibratedVersion:
    """Calibrate a version on the earlier part of recent rows, evaluate it on the later part, and publish it.

    The evaluation has the version in production as a baseline on the same rows, which the promotion gate compares.

    Raises:
        TooFewRowsError: there are fewer than 4,000 rows, or fewer than 2,000 in a part.
        OverlappingDaysError: the base version or the one in production was fitted or calibrated on some of the days.
        ParityError: the new graph does not compute the expected probabilities; nothing is published.
    """
    production = _production(models, base)
    _require_later_days(recent, base, *([] if production is None else [production]))
    calibrate, evaluated = _split(recent)
    model = onnx.load_from_string((base.folder / MODEL_FILE).read_bytes())
    weights = _weights(model)
    calibration = fit_calibration(_pooled(base.graph, weights, calibrate.features), calibrate.labels)
    expected = _CalibratedPool(members=base.graph, weights=weights, calibration=calibration)
    content = replace_calibration(model, calibration).SerializeToString()
    graph = ModelGraph(content)
    parity = require_parity(expected.predict(recent.features), graph.probabilities(recent.features), recent.features)
    unsigned = _manifest(base, calibrate, expected, next_version(models, base.task.name))
    version = dataclasses.replace(base, manifest=unsigned, graph=graph)
    baselines = _baselines(production, evaluated)
    evaluation = evaluate_graph(version, evaluated, graph.probabilities(evaluated.features), baselines)
    files = {name: (base.folder / name).read_bytes() for name in base.manifest.files} | {
        MODEL_FILE: content,
        GOLDEN_FILE: _golden(base, expected).model_dump_json().encode(),
        EVALUATION_FILE: to_json(evaluation),
        PARITY_FILE: to_json(parity),
        **render_report(base.task, unsigned, evaluation, parity),
    }
    folder, manifest = publish(models, files, make_signer(unsigned))
    return RecalibratedVersion(folder=folder, manifest=manifest, calibration=calibration, evaluation=evaluation)


def _production(models: Path, base: PublishedModel) -> PublishedModel | None:
    try:
        return open_version(models, base.task)
    except (NotFoundError, ArtifactRefusedError):  # no baseline; the gate decides without it
        return None


def _require_later_days(recent: Dataset, *versions: PublishedModel) -> None:
    for each in versions:
        first, last = training_days(each.manifest)
        if len(recent) and recent.window.first_day <= last:
            number = each.manifest.version
            raise OverlappingDaysError(
                f"version {number} was fitted and calibrated on {first} to {last}; give days after {last}"
            )


def _split(recent: Dataset) -> tuple[Dataset, Dataset]:
    """Split the rows by day into two parts of about the same size."""
    days, counts = np.unique(recent.rows["game_date"].to_numpy(), return_counts=True)
    earlier = np.cumsum(counts)
    last = int(np.abs(earlier - len(recent) / 2).argmin()) if len(recent) else 0
    if len(recent) < MIN_ROWS or not MIN_PART <= earlier[last] <= len(recent) - MIN_PART:
        raise TooFewRowsError(
            f"{len(recent):,} rows on {len(days)} days are too few: at least {MIN_ROWS:,} are required, "
            f"{MIN_PART:,} of them to calibrate on and {MIN_PART:,} on later days to evaluate on"
        )
    window = recent.window
    return (
        recent.between(Window(first_day=window.first_day, last_day=days[last].item())),
        recent.between(Window(first_day=days[last + 1].item(), last_day=window.last_day)),
    )


def _baselines(production: PublishedModel | None, rows: Dataset) -> dict[str, Metrics]:
    if production is None:
        return {}
    metrics = compute_metrics(production.graph.probabilities(rows.features), rows)
    return {version_baseline(production.manifest.version): metrics}


def _pooled(graph: ModelGraph, weights: NDArray[np.float64], features: Matrix) -> Probabilities:
    return pool(np.log(np.maximum(graph.members(features), np.exp(MIN_LOG))), weights)


def _weights(model: ModelProto) -> NDArray[np.float64]:
    constant = next(each for each in model.graph.initializer if each.name == WEIGHTS)
    return numpy_helper.to_array(constant).ravel().astype(np.float64)


def _golden(base: PublishedModel, expected: _CalibratedPool) -> Golden:
    golden = read_json(Golden, base.folder / GOLDEN_FILE)
    probabilities = expected.predict(base.task.features.compute(np.array(golden.instances, dtype=np.float32)))
    return golden.model_copy(update={"probabilities": tuple(tuple(map(float, row)) for row in probabilities)})


def _manifest(base: PublishedModel, calibrate: Dataset, expected: _CalibratedPool, version: int) -> Manifest:
    training = base.manifest.training.model_copy(
        update={"calibration_window": calibrate.window, "data_fingerprint": calibrate.fingerprint}
    )
    return base.manifest.model_copy(
        update={
            "version": version,
            "training": training,
            "recalibrated_from": base.manifest.version,
            "prediction_sets": fit_prediction_sets(expected.predict(calibrate.features), calibrate.labels),
            "created": datetime.now(UTC).replace(microsecond=0),
            "files": {},
        }
    )
