"""Values to messages: answers as a caller gets them."""

from typing import Final

from ondeck.v1.model_spec_pb2 import AnsweredBy
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictResponse,
    BattedBallFigureColumns,
    BattedBallFigures,
    CalledStrikeFigureColumns,
    CalledStrikeFigures,
    FieldViolation,
    OutcomeProbability,
    Prediction,
    StreamError,
)
from ondeck_core.figures import FIGURES
from ondeck_core.tasks import Task
from ondeck_server.models.manager import Chosen
from ondeck_server.predictor import Answer
from ondeck_server.rpc.statuses import Outcome

_FLOAT_BYTES: Final = 4
_ROOM: Final = 4096  # for all of an answer that is not its rows


def prediction(answer: Answer) -> Prediction:
    """Write the answer to one instance."""
    outcomes = [
        OutcomeProbability(outcome=outcome, probability=probability)
        for outcome, probability in zip(answer.task.outcomes, answer.probabilities[0].tolist(), strict=True)
    ]
    figures = {name: float(values[0]) for name, values in answer.figures.items()}
    if answer.task.name == "batted_ball":
        return Prediction(
            outcomes=outcomes, batted_ball=BattedBallFigures(**figures), answered_by=answered_by(answer.chosen)
        )
    present = {name: value for name, value in figures.items() if value == value}  # noqa: PLR0124  NaN is absent
    return Prediction(
        outcomes=outcomes, called_strike=CalledStrikeFigures(**present), answered_by=answered_by(answer.chosen)
    )


def batch(answer: Answer) -> BatchPredictResponse:
    """Write the answers to many instances, row-major."""
    response = BatchPredictResponse(
        outcomes=answer.task.outcomes,
        probabilities=answer.probabilities.ravel().tolist(),
        answered_by=answered_by(answer.chosen),
    )
    figures = {name: values.tolist() for name, values in answer.figures.items()}
    if answer.task.name == "batted_ball":
        response.batted_balls.CopyFrom(BattedBallFigureColumns(**figures))
    else:
        response.called_strikes.CopyFrom(CalledStrikeFigureColumns(**figures))
    return response


def most_rows(task: Task, max_message_bytes: int) -> int:
    """Tell how many rows an answer may have: each takes a float32 for each outcome and each figure."""
    return (max_message_bytes - _ROOM) // (_FLOAT_BYTES * (len(task.outcomes) + len(FIGURES[task.name])))


def answered_by(chosen: Chosen) -> AnsweredBy:
    """Name what gave an answer."""
    manifest = chosen.version.manifest
    return AnsweredBy(model=manifest.model, version=manifest.version, alias=chosen.alias, digest=manifest.digest)


def stream_error(outcome: Outcome) -> StreamError:
    """Write an error as the answer to one instance of a stream."""
    return StreamError(
        code=outcome.code,
        reason=outcome.reason,
        message=outcome.message,
        violations=[FieldViolation(field=v.field, description=v.description) for v in outcome.violations],
    )
