"""What every version of a soak says of every instance, known before anybody asks."""

from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks import messages
from benchmarks.rows import drawn
from inference.grpc_service_pb2 import ModelInferRequest
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest, StreamPredictRequest
from ondeck_core.instances import Matrix
from ondeck_core.manifest import FP32, INPUT
from ondeck_core.tasks import TASKS
from ondeck_server.models.loader import load
from tests.factories.sibling_versions import shifted

CLOSE: Final = 2e-5  # two answers of one version, in batches of different sizes
_STEP: Final = 0.25
_SHIFTS: Final = 8  # so many versions in a row differ from each other
_DRAWN = 256
_CLEAR = 0.05  # least probability of the first outcome, and of all others together: there a shift is seen


def shift_of(version: int) -> float:
    """Tell by how much the first outcome of a version is likelier than that of version 1, on the logarithm."""
    return _STEP * ((version - 1) % _SHIFTS)


class Known:
    """Instances of a model's task, and what each of its versions says of them."""

    def __init__(self, models: Path, model: str) -> None:
        self._task = TASKS[model]
        self._spec = ModelSpec(name=model)
        instances = drawn(self._task.instance, _DRAWN)
        answers = load(models / model / "1", model, 1).probabilities(instances)
        clear = (answers[:, 0] > _CLEAR) & (answers[:, 0] < 1 - _CLEAR)
        self._instances: Matrix = instances[clear]
        self._says = cache(lambda version: shifted(answers[clear], shift_of(version)))

    def __len__(self) -> int:
        return len(self._instances)

    def right(self, version: int, at: int, answered: Matrix) -> bool:
        """Tell whether rows from place `at` on are what a version says; after the last instance comes the first."""
        wanted = self._says(version)[self._places(at, len(answered))]
        return answered.shape == wanted.shape and bool(np.abs(wanted - answered).max() < CLOSE)

    def predict(self, at: int) -> PredictRequest:
        """Ask about one instance."""
        return PredictRequest(model=self._spec, **{self._task.instance.path: self._singles[at]})

    def in_stream(self, id_: str, at: int) -> StreamPredictRequest:
        """Ask about one instance in a stream."""
        return StreamPredictRequest(id=id_, model=self._spec, **{self._task.instance.path: self._singles[at]})

    def batch(self, at: int, rows: int) -> BatchPredictRequest:
        """Ask about so many instances from a place on."""
        columns = messages.columns(self._task.instance, self._instances[self._places(at, rows)])
        return BatchPredictRequest(model=self._spec, **{self._task.instance.columns_path: columns})

    def infer(self, id_: str, at: int, rows: int) -> ModelInferRequest:
        """Ask about so many instances from a place on, as tensors."""
        features = self._features[self._places(at, rows)]
        request = ModelInferRequest(model_name=self._task.name, id=id_, raw_input_contents=[features.tobytes()])
        request.inputs.add(name=INPUT, datatype=FP32, shape=features.shape)
        return request

    def _places(self, at: int, rows: int) -> Any:
        return (np.arange(rows) + at) % len(self)

    @cached_property
    def _features(self) -> Matrix:
        return self._task.features.compute(self._instances)

    @cached_property
    def _singles(self) -> list[Any]:
        return [messages.message(self._task.instance, row) for row in self._instances]
