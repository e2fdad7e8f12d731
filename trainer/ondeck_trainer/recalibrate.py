"""The last layer fitted anew on recent rows: a new version in seconds, its members untouched."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper

from ondeck_core.errors import OndeckError
from ondeck_core.instances import Matrix
from ondeck_core.manifest import (
    CARD_FILE,
    GOLDEN_FILE,
    MODEL_FILE,
    PARITY_FILE,
    Golden,
    Manifest,
    Parity,
    Window,
)
from ondeck_registry.publication import next_version, publish
from ondeck_registry.repository import read_evaluation, read_json
from ondeck_trainer.artifact.model_card import card
from ondeck_trainer.artifact.onnx_export import WEIGHTS, recalibrated
from ondeck_trainer.artifact.parity import report
from ondeck_trainer.artifact.publish import as_json, signing
from ondeck_trainer.artifact.published_model import ModelGraph, PublishedModel
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.model.ensemble import LEAST_LOG, Calibration, Probabilities, fit_calibration, pool
from ondeck_trainer.pipeline import fit_sets

LEAST_ROWS: Final = 2000


class OverlappingDaysError(OndeckError):
    """The members were fitted on some of these days; what they say of them is too sure to calibrate on."""


class TooFewRowsError(OndeckError):
    """The recent rows are too few to calibrate on."""


@dataclass(frozen=True, kw_only=True)
class RecalibratedVersion:
    """A version with a last layer of its own."""

    folder: Path
    manifest: Manifest
    calibration: Calibration


@dataclass(frozen=True, kw_only=True)
class _LastLayer:
    """Weights of members and a calibration, over what the members of a graph say."""

    members: ModelGraph
    weights: NDArray[np.float64]
    calibration: Calibration

    def predict(self, features: Matrix) -> Probabilities:
        return self.calibration.apply(_pooled(self.members, self.weights, features))


def recalibrate(served: PublishedModel, recent: Dataset, models: Path) -> RecalibratedVersion:
    """Fit calibration and prediction sets of a version on recent rows, and publish that as a new version.

    Raises:
        TooFewRowsError: there are fewer than 2,000 rows.
        OverlappingDaysError: the members were fitted on some of the days.
        ParityError: the new graph does not answer as it should; nothing is published.
    """
    if len(recent) < LEAST_ROWS:
        raise TooFewRowsError(f"{len(recent):,} rows are too few to calibrate on; {LEAST_ROWS:,} are asked for")
    fitted = served.manifest.training.fit_window
    if recent.rows["game_date"].is_between(fitted.first_day, fitted.last_day).any():
        raise OverlappingDaysError(
            f"the members of version {served.manifest.version} were fitted on {fitted}; give later days"
        )
    model = onnx.load_from_string((served.folder / MODEL_FILE).read_bytes())
    weights = _weights(model)
    calibration = fit_calibration(_pooled(served.graph, weights, recent.features), recent.labels)
    layer = _LastLayer(members=served.graph, weights=weights, calibration=calibration)
    graph = recalibrated(model, calibration).SerializeToString()
    parity = report(layer.predict(recent.features), ModelGraph(graph).probabilities(recent.features), recent.features)
    unsigned = _manifest(served, recent, layer, next_version(models, served.task.name))
    files = {name: (served.folder / name).read_bytes() for name in served.manifest.files} | {
        MODEL_FILE: graph,
        GOLDEN_FILE: _golden(served, layer).model_dump_json().encode(),
        PARITY_FILE: as_json(parity),
        CARD_FILE: _card(served, unsigned, parity),
    }
    folder, manifest = publish(models, files, signing(unsigned))
    return RecalibratedVersion(folder=folder, manifest=manifest, calibration=calibration)


def _pooled(graph: ModelGraph, weights: NDArray[np.float64], features: Matrix) -> Probabilities:
    return pool(np.log(np.maximum(graph.members(features), np.exp(LEAST_LOG))), weights)


def _weights(model: ModelProto) -> NDArray[np.float64]:
    constant = next(each for each in model.graph.initializer if each.name == WEIGHTS)
    return numpy_helper.to_array(constant).ravel().astype(np.float64)


def _golden(served: PublishedModel, layer: _LastLayer) -> Golden:
    golden = read_json(Golden, served.folder / GOLDEN_FILE)
    features = served.task.features.compute(np.array(golden.instances, dtype=np.float32))
    return golden.model_copy(update={"probabilities": tuple(tuple(map(float, row)) for row in layer.predict(features))})


def _manifest(served: PublishedModel, recent: Dataset, layer: _LastLayer, version: int) -> Manifest:
    days = recent.rows["game_date"]
    calibrated = Window.model_validate({"first_day": days.min(), "last_day": days.max()})
    training = served.manifest.training.model_copy(update={"calibration_window": calibrated})
    return served.manifest.model_copy(
        update={
            "version": version,
            "training": training,
            "recalibrated_from": served.manifest.version,
            "prediction_sets": fit_sets(layer.predict(recent.features), recent),
            "created": datetime.now(UTC).replace(microsecond=0),
            "files": {},
        }
    )


def _card(served: PublishedModel, manifest: Manifest, parity: Parity) -> bytes:
    return card(served.task, manifest, read_evaluation(served.folder), parity).encode()
