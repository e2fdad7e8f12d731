"""The expected probabilities of every version and instance in a soak."""

from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import messages
from benchmarks.input_rows import generate_instances
from inference.grpc_service_pb2 import ModelInferRequest
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest, StreamPredictRequest
from ondeck_core.instances import Matrix
from ondeck_core.manifest import FP32, INPUT
from ondeck_core.tasks import TASKS
from ondeck_server.models.servable import load
from tests.factories.sibling_versions import shifted

TOLERANCE: Final = 2e-5  # between results of one version in batches of different sizes
_STEP: Final = 0.25
_SHIFTS: Final = 8  # distinct shifts before they repeat
_INSTANCES = 256
_MIN_PROBABILITY = 0.05  # of the first outcome and of all others together, so that a shift is visible


def shift_of(version: int) -> float:
    """Return how much the logit bias of the first outcome of a version exceeds that of version 1."""
    return _STEP * ((version - 1) % _SHIFTS)


class ExpectedResults:
    """Instances of a model's task, and the probabilities that each version returns for them."""

    def __init__(self, models: Path, model: str) -> None:
        self._task = TASKS[model]
        self._spec = ModelSpec(name=model)
        instances = generate_instances(self._task.instance, _INSTANCES)
        probabilities = load(models / model / "1", model, 1).predict_proba(instances)
        is_clear = (probabilities[:, 0] > _MIN_PROBABILITY) & (probabilities[:, 0] < 1 - _MIN_PROBABILITY)
        self._instances: Matrix = instances[is_clear]
        self._expected = cache(lambda version: shifted(probabilities[is_clear], shift_of(version)))

    def __len__(self) -> int:
        return len(self._instances)

    def matches(self, version: int, at: int, probabilities: Matrix) -> bool:
        """Return whether rows from index `at` on, wrapping around, are the results of a version."""
        expected = self._expected(version)[self._indexes(at, len(probabilities))]
        return probabilities.shape == expected.shape and bool(np.abs(expected - probabilities).max() < TOLERANCE)

    def predict(self, at: int) -> PredictRequest:
        """Return the request for one instance."""
        return PredictRequest(model=self._spec, **{self._task.instance.path: self._messages[at]})

    def stream_predict(self, id_: str, at: int) -> StreamPredictRequest:
        """Return the request for one instance of a stream."""
        return StreamPredictRequest(id=id_, model=self._spec, **{self._task.instance.path: self._messages[at]})

    def batch(self, at: int, rows: int) -> BatchPredictRequest:
        """Return the request for `rows` instances from index `at` on."""
        columns = messages.columns(self._task.instance, self._instances[self._indexes(at, rows)])
        return BatchPredictRequest(model=self._spec, **{self._task.instance.columns_path: columns})

    def infer(self, id_: str, at: int, rows: int) -> ModelInferRequest:
        """Return the tensor request for `rows` instances from index `at` on."""
        features = self._features[self._indexes(at, rows)]
        request = ModelInferRequest(model_name=self._task.name, id=id_, raw_input_contents=[features.tobytes()])
        request.inputs.add(name=INPUT, datatype=FP32, shape=features.shape)
        return request

    def _indexes(self, at: int, rows: int) -> Any:
        return (np.arange(rows) + at) % len(self)

    @cached_property
    def _features(self) -> Matrix:
        return self._task.features.compute(self._instances)

    @cached_property
    def _messages(self) -> list[Any]:
        return [messages.message(self._task.instance, row) for row in self._instances]
