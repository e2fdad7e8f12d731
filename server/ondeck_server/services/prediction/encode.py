"""Results to messages: predictions, explanations and errors of a stream."""

import math
import struct
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from ondeck.v1.model_spec_pb2 import AnsweredBy
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictResponse,
    BattedBallStats,
    CalledStrikeStats,
    Contribution,
    ExplainResponse,
    FieldViolation,
    OutcomeProbability,
    Prediction,
    PredictionSet,
    PredictionSetColumn,
    StreamError,
)
from ondeck_core.derived_stats import DERIVED_STATS
from ondeck_core.manifest import Manifest
from ondeck_core.tasks import Task
from ondeck_server.inference.explainer import Explanation
from ondeck_server.inference.predictor import PredictionResult
from ondeck_server.models.servable import LoadedVersion
from ondeck_server.rpc.errors import ErrorStatus

_FLOAT_BYTES: Final = 4
_SPREAD_AND_CONFIDENCE: Final = 2
_SET_BYTES: Final = 4  # of a row, for more prediction sets than any version has
_MARK_BYTES: Final = b"\xfe\xfe\xfe\x7e"  # of a float; not UTF-8, so no name contains them
(_MARK,) = struct.unpack("<f", _MARK_BYTES)
_STATS: Final = {"batted_ball": BattedBallStats, "called_strike": CalledStrikeStats}
_STAT_COLUMNS: Final = {"batted_ball": "batted_balls", "called_strike": "called_strikes"}
_FIXED_BYTES: Final = 4096  # of a response beside its rows


class PredictionTemplate:
    """The serialized predictions of a version with a place for each float: costs a tenth of new messages."""

    def __init__(self, version: LoadedVersion) -> None:
        self._manifest = version.manifest
        self._outcomes = version.task.outcomes
        self._stats_field, self._stats = version.task.name, version.columns.stats
        self._floats = version.columns.floats
        self._rests: dict[tuple[str, tuple[float, ...]], bytes] = {}
        constants = self._marked().SerializeToString().split(_MARK_BYTES)  # its floats have the order of the columns
        self._pack = struct.Struct("<" + "f".join(f"{len(each)}s" for each in constants)).pack
        self._arguments: list[bytes | float] = [b""] * (2 * self._floats + 1)
        self._arguments[::2] = constants

    def write(self, row: list[float], alias: str, target: Prediction) -> None:
        """Write the prediction of a row of a result table into an empty message."""
        arguments = self._arguments.copy()
        arguments[1::2] = row[: self._floats]
        target.MergeFromString(self._pack(*arguments) + self._rest(alias, tuple(row[self._floats : -1])))
        for name, value in zip(self._stats, row[len(self._outcomes) :], strict=False):
            if math.isnan(value):
                getattr(target, self._stats_field).ClearField(name)

    def _marked(self) -> Prediction:
        stats = _STATS[self._stats_field](**dict.fromkeys(self._stats, _MARK)) if self._stats else None
        return Prediction(
            outcomes=[OutcomeProbability(outcome=outcome, probability=_MARK) for outcome in self._outcomes],
            ensemble_spread=_MARK,
            confidence=_MARK,
            **{self._stats_field: stats} if stats else {},
        )

    def _rest(self, alias: str, sets: tuple[float, ...]) -> bytes:
        """Return the serialized fields without floats of their own: few different ones occur."""
        found = self._rests.get((alias, sets))
        if found is None:
            rest = Prediction(
                answered_by=answered_by(self._manifest, alias),
                prediction_sets=[
                    PredictionSet(coverage=each.coverage, outcomes=self._inside(int(bits)))
                    for each, bits in zip(self._manifest.prediction_sets, sets, strict=True)
                ],
            )
            found = self._rests[alias, sets] = rest.SerializeToString()
        return found

    def _inside(self, bits: int) -> list[str]:
        return [outcome for index, outcome in enumerate(self._outcomes) if bits >> index & 1]


_TEMPLATES: Final[WeakKeyDictionary[LoadedVersion, PredictionTemplate]] = WeakKeyDictionary()


def write_prediction(result: PredictionResult, target: Prediction) -> None:
    """Write the prediction of one instance into an empty message."""
    version = result.lease.version
    template = _TEMPLATES.get(version)
    if template is None:
        template = _TEMPLATES[version] = PredictionTemplate(version)
    template.write(result.table[0].tolist(), result.lease.alias, target)


def batch(result: PredictionResult) -> BatchPredictResponse:
    """Return a response to many instances, without its rows; see `encode_rows`."""
    lease = result.lease
    return BatchPredictResponse(
        outcomes=lease.version.task.outcomes,
        answered_by=answered_by(lease.version.manifest, lease.alias),
        prediction_sets=[
            PredictionSetColumn(coverage=each.coverage) for each in lease.version.manifest.prediction_sets
        ],
    )


def encode_rows(result: PredictionResult, rows: slice, response: BatchPredictResponse) -> bytes:
    """Return some rows of a result as serialized fields of the response, row-major; append their sets to `response`.

    Serialized messages of one type merge if they are concatenated, but not the columns of sets. A message of all rows
    would take several times the memory while it grows.
    """
    columns, part = result.lease.version.columns, BatchPredictResponse()
    probabilities, others = np.split(result.table[rows], [columns.outcomes], axis=1)
    part.probabilities.extend(probabilities.ravel().tolist())
    targets = [
        *(getattr(getattr(part, _STAT_COLUMNS[columns.task]), name) for name in columns.stats),
        part.ensemble_spread,
        part.confidence,
    ]
    for target, values in zip(targets, others.T, strict=False):
        target.extend(values.tolist())
    for prediction_set, bits in zip(response.prediction_sets, others.T[len(targets) :], strict=False):
        prediction_set.outcomes.extend(bits.astype(np.uint32).tolist())
    return part.SerializeToString()


def max_rows(task: Task, max_message_bytes: int) -> int:
    """Return how many rows fit into a response: each takes some float32 and one byte for each prediction set."""
    floats = len(task.outcomes) + len(DERIVED_STATS.get(task.name, ())) + _SPREAD_AND_CONFIDENCE
    return (max_message_bytes - _FIXED_BYTES) // (_FLOAT_BYTES * floats + _SET_BYTES)


def answered_by(manifest: Manifest, alias: str) -> AnsweredBy:
    """Return the version that predicted, and the alias by which it was selected."""
    return AnsweredBy(model=manifest.model, version=manifest.version, alias=alias, digest=manifest.digest)


def stream_error(status: ErrorStatus) -> StreamError:
    """Return an error as the response to one instance of a stream."""
    return StreamError(
        code=status.code,
        reason=status.reason,
        message=status.message,
        violations=[FieldViolation(field=v.field, description=v.description) for v in status.violations],
    )


def explanation(explained: Explanation) -> ExplainResponse:
    """Return an explanation."""
    response = ExplainResponse(
        outcome=explained.outcome,
        base_rate=explained.base_rate,
        probability=explained.probability,
        contributions=[
            Contribution(
                field=each.field,
                contribution=each.contribution,
                standard_error=each.standard_error,
                value=each.value,
            )
            for each in explained.contributions
        ],
        exact=explained.exact,
        background_rows=explained.background_rows,
    )
    write_prediction(explained.prediction, response.prediction)
    return response
