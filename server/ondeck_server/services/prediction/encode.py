"""Results to messages: predictions, explanations and errors of a stream."""

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
from ondeck_core.tasks import Task
from ondeck_server.inference.explainer import Explanation
from ondeck_server.inference.predictor import PredictionResult
from ondeck_server.models.servable import TaskLease
from ondeck_server.rpc.errors import ErrorStatus

_FLOAT_BYTES: Final = 4
_SPREAD_AND_CONFIDENCE: Final = 2
_SET_BYTES: Final = 4  # of a row, for more prediction sets than any version has
_FIXED_BYTES: Final = 4096  # of a response beside its rows


def prediction(result: PredictionResult) -> Prediction:
    """Return the prediction of one instance."""
    outcomes = result.task.outcomes
    stats = {name: value for name, values in result.derived_stats.items() if not math.isnan(value := float(values[0]))}
    return Prediction(
        outcomes=[
            OutcomeProbability(outcome=outcome, probability=probability)
            for outcome, probability in zip(outcomes, result.probabilities[0].tolist(), strict=True)
        ],
        answered_by=answered_by(result.lease),
        prediction_sets=[
            PredictionSet(coverage=coverage, outcomes=list(compress(outcomes, inside[0].tolist())))
            for coverage, inside in result.sets.items()
        ],
        ensemble_spread=float(result.ensemble_spread[0]),
        confidence=float(result.confidence[0]),
        batted_ball=BattedBallStats(**stats) if result.task.name == "batted_ball" else None,
        called_strike=CalledStrikeStats(**stats) if result.task.name == "called_strike" else None,
    )


def batch(result: PredictionResult) -> BatchPredictResponse:
    """Return the predictions of many instances, row-major."""
    response = BatchPredictResponse(
        outcomes=result.task.outcomes,
        probabilities=result.probabilities.ravel().tolist(),
        answered_by=answered_by(result.lease),
        prediction_sets=[
            PredictionSetColumn(coverage=coverage, outcomes=(inside @ _bits(inside.shape[1])).tolist())
            for coverage, inside in result.sets.items()
        ],
        ensemble_spread=result.ensemble_spread.tolist(),
        confidence=result.confidence.tolist(),
    )
    stats = {name: values.tolist() for name, values in result.derived_stats.items()}
    if result.task.name == "batted_ball":
        response.batted_balls.CopyFrom(BattedBallStatColumns(**stats))
    elif result.task.name == "called_strike":
        response.called_strikes.CopyFrom(CalledStrikeStatColumns(**stats))
    return response


def max_rows(task: Task, max_message_bytes: int) -> int:
    """Return how many rows fit into a response: each takes some float32 and one byte for each prediction set."""
    floats = len(task.outcomes) + len(DERIVED_STATS.get(task.name, ())) + _SPREAD_AND_CONFIDENCE
    return (max_message_bytes - _FIXED_BYTES) // (_FLOAT_BYTES * floats + _SET_BYTES)


def _bits(outcomes: int) -> NDArray[np.int64]:
    return 1 << np.arange(outcomes)


def answered_by(lease: TaskLease) -> AnsweredBy:
    """Return the version that predicted, and the alias by which it was selected."""
    manifest = lease.version.manifest
    return _answered_by(manifest.model, manifest.version, lease.alias, manifest.digest)


@lru_cache
def _answered_by(model: str, version: int, alias: str, digest: str) -> AnsweredBy:
    return AnsweredBy(model=model, version=version, alias=alias, digest=digest)


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
    return ExplainResponse(
        prediction=prediction(explained.prediction),
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
