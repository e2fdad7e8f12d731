"""Values to messages: answers as a caller gets them."""

import math
from functools import lru_cache
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondeck.v1.model_spec_pb2 import AnsweredBy
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictResponse,
    BattedBallStatColumns,
    BattedBallStats,
    CalledStrikeStatColumns,
    CalledStrikeStats,
    FieldViolation,
    OutcomeProbability,
    Prediction,
    PredictionSet,
    PredictionSetColumn,
    StreamError,
)
from ondeck_core.derived_stats import FIGURES
from ondeck_core.tasks import Task
from ondeck_server.inference.predictor import PredictionResult
from ondeck_server.models.servable import TaskLease
from ondeck_server.rpc.errors import ErrorStatus

_FLOAT_BYTES: Final = 4
_SPREAD_AND_CONFIDENCE: Final = 2
_SETS: Final = 4  # bytes, for more than the sets there are
_ROOM: Final = 4096  # for all of an answer that is not its rows


def prediction(answer: PredictionResult) -> Prediction:
    """Write the answer to one instance."""
    outcomes = answer.task.outcomes
    figures = {
        name: value for name, values in answer.derived_stats.items() if not math.isnan(value := float(values[0]))
    }
    return Prediction(
        outcomes=[
            OutcomeProbability(outcome=outcome, probability=probability)
            for outcome, probability in zip(outcomes, answer.probabilities[0].tolist(), strict=True)
        ],
        answered_by=answered_by(answer.lease),
        prediction_sets=[
            PredictionSet(coverage=coverage, outcomes=list(compress(outcomes, inside[0].tolist())))
            for coverage, inside in answer.sets.items()
        ],
        ensemble_spread=float(answer.ensemble_spread[0]),
        confidence=float(answer.confidence[0]),
        batted_ball=BattedBallStats(**figures) if answer.task.name == "batted_ball" else None,
        called_strike=CalledStrikeStats(**figures) if answer.task.name == "called_strike" else None,
    )


def batch(answer: PredictionResult) -> BatchPredictResponse:
    """Write the answers to many instances, row-major."""
    response = BatchPredictResponse(
        outcomes=answer.task.outcomes,
        probabilities=answer.probabilities.ravel().tolist(),
        answered_by=answered_by(answer.lease),
        prediction_sets=[
            PredictionSetColumn(coverage=coverage, outcomes=(inside @ _bits(inside.shape[1])).tolist())
            for coverage, inside in answer.sets.items()
        ],
        ensemble_spread=answer.ensemble_spread.tolist(),
        confidence=answer.confidence.tolist(),
    )
    figures = {name: values.tolist() for name, values in answer.derived_stats.items()}
    if answer.task.name == "batted_ball":
        response.batted_balls.CopyFrom(BattedBallStatColumns(**figures))
    elif answer.task.name == "called_strike":
        response.called_strikes.CopyFrom(CalledStrikeStatColumns(**figures))
    return response


def most_rows(task: Task, max_message_bytes: int) -> int:
    """Tell how many rows an answer may have: each takes some float32, and a byte for each of its sets."""
    floats = len(task.outcomes) + len(FIGURES.get(task.name, ())) + _SPREAD_AND_CONFIDENCE
    return (max_message_bytes - _ROOM) // (_FLOAT_BYTES * floats + _SETS)


def _bits(outcomes: int) -> NDArray[np.int64]:
    return 1 << np.arange(outcomes)


def answered_by(lease: TaskLease) -> AnsweredBy:
    """Name what gave an answer."""
    manifest = lease.version.manifest
    return _answered_by(manifest.model, manifest.version, lease.alias, manifest.digest)


@lru_cache
def _answered_by(model: str, version: int, alias: str, digest: str) -> AnsweredBy:
    return AnsweredBy(model=model, version=version, alias=alias, digest=digest)


def stream_error(outcome: ErrorStatus) -> StreamError:
    """Write an error as the answer to one instance of a stream."""
    return StreamError(
        code=outcome.code,
        reason=outcome.reason,
        message=outcome.message,
        violations=[FieldViolation(field=v.field, description=v.description) for v in outcome.violations],
    )
