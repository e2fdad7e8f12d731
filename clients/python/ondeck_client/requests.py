"""Requests, built alike for both clients."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import overload

from ondeck.v1.instances_pb2 import BattedBall, BattedBallColumns, Pitch, PitchColumns
from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.player_service_pb2 import PlayerId, PlayerName, PlayerQuery, ResolvePlayersRequest
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    ExplainRequest,
    PredictRequest,
    StreamPredictRequest,
)

Instance = Pitch | BattedBall
Columns = PitchColumns | BattedBallColumns
Asked = tuple[str, Instance]
Question = str | PlayerName | PlayerId


def model_spec(model: str, version: int | None, alias: str | None) -> ModelSpec:
    """Name a model; its version by number or by alias, or neither for the one in production.

    Raises:
        ValueError: both are given.
    """
    if version is not None and alias is not None:
        raise ValueError("a version is named by its number or by an alias, not by both")
    if version is not None:
        return ModelSpec(name=model, version=version)
    if alias is not None:
        return ModelSpec(name=model, alias=alias)
    return ModelSpec(name=model)


def predict_request(spec: ModelSpec, instance: Instance) -> PredictRequest:
    """Ask about one instance."""
    if isinstance(instance, Pitch):
        return PredictRequest(model=spec, pitch=instance)
    return PredictRequest(model=spec, batted_ball=instance)


def explain_request(spec: ModelSpec, instance: Instance, outcome: str) -> ExplainRequest:
    """Ask why a model says what it says of one instance."""
    if isinstance(instance, Pitch):
        return ExplainRequest(model=spec, pitch=instance, outcome=outcome)
    return ExplainRequest(model=spec, batted_ball=instance, outcome=outcome)


def batch_request(spec: ModelSpec, columns: Columns) -> BatchPredictRequest:
    """Ask about many instances."""
    if isinstance(columns, PitchColumns):
        return BatchPredictRequest(model=spec, pitches=columns)
    return BatchPredictRequest(model=spec, batted_balls=columns)


def stream_request(spec: ModelSpec, asked: Asked) -> StreamPredictRequest:
    """Ask about one instance of a stream, given with its id."""
    id_, instance = asked
    if isinstance(instance, Pitch):
        return StreamPredictRequest(id=id_, model=spec, pitch=instance)
    return StreamPredictRequest(id=id_, model=spec, batted_ball=instance)


def get_request(spec: ModelSpec) -> GetModelRequest:
    """Ask about a version."""
    return GetModelRequest(model=spec)


def resolve_request(questions: Iterable[Question]) -> ResolvePlayersRequest:
    """Ask who is meant; a text is a name."""
    return ResolvePlayersRequest(queries=[_question(each) for each in questions])


def _question(asked: Question) -> PlayerQuery:
    if isinstance(asked, PlayerId):
        return PlayerQuery(id=asked)
    return PlayerQuery(name=PlayerName(name=asked) if isinstance(asked, str) else asked)


@overload
def stream_requests(spec: ModelSpec, instances: Iterable[Asked]) -> Iterator[StreamPredictRequest]: ...
@overload
def stream_requests(
    spec: ModelSpec, instances: Iterable[Asked] | AsyncIterable[Asked]
) -> Iterator[StreamPredictRequest] | AsyncIterator[StreamPredictRequest]: ...
def stream_requests(
    spec: ModelSpec, instances: Iterable[Asked] | AsyncIterable[Asked]
) -> Iterator[StreamPredictRequest] | AsyncIterator[StreamPredictRequest]:
    """Make a request of each instance as it comes."""
    if isinstance(instances, AsyncIterable):
        return (stream_request(spec, asked) async for asked in instances)
    return (stream_request(spec, asked) for asked in instances)
