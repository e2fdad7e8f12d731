"""Requests of both clients."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import overload

from ondeck.v1.instances_pb2 import BattedBall, BattedBallColumns, Pitch, PitchColumns
from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.player_service_pb2 import PlayerId, PlayerName, PlayerQuery, ResolvePlayersRequest
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    ExplainRequest,
    PitchKey,
    PitchKeyColumns,
    PredictRequest,
    StreamPredictRequest,
)

Instance = Pitch | BattedBall
Columns = PitchColumns | BattedBallColumns
StreamItem = tuple[str, Instance] | tuple[str, Instance, PitchKey | None]
PlayerReference = str | PlayerName | PlayerId


def model_spec(model: str, version: int | None, alias: str | None) -> ModelSpec:
    """Return a model spec with a version, an alias, or neither, which selects the version in production.

    Raises:
        ValueError: both are given.
    """
    if version is not None and alias is not None:
        raise ValueError("version and alias exclude each other")
    if version is not None:
        return ModelSpec(name=model, version=version)
    if alias is not None:
        return ModelSpec(name=model, alias=alias)
    return ModelSpec(name=model)


def predict_request(spec: ModelSpec, instance: Instance, pitch_key: PitchKey | None) -> PredictRequest:
    """Return the request of Predict."""
    if isinstance(instance, Pitch):
        return PredictRequest(model=spec, pitch=instance, pitch_key=pitch_key)
    return PredictRequest(model=spec, batted_ball=instance, pitch_key=pitch_key)


def explain_request(spec: ModelSpec, instance: Instance, outcome: str) -> ExplainRequest:
    """Return the request of Explain."""
    if isinstance(instance, Pitch):
        return ExplainRequest(model=spec, pitch=instance, outcome=outcome)
    return ExplainRequest(model=spec, batted_ball=instance, outcome=outcome)


def batch_request(spec: ModelSpec, columns: Columns, pitch_keys: PitchKeyColumns | None) -> BatchPredictRequest:
    """Return the request of BatchPredict."""
    if isinstance(columns, PitchColumns):
        return BatchPredictRequest(model=spec, pitches=columns, pitch_keys=pitch_keys)
    return BatchPredictRequest(model=spec, batted_balls=columns, pitch_keys=pitch_keys)


def stream_request(spec: ModelSpec, item: StreamItem) -> StreamPredictRequest:
    """Return one request of StreamPredict, for an id, its instance and possibly the key of the pitch."""
    id_, instance = item[:2]
    pitch_key = item[2] if len(item) > 2 else None  # noqa: PLR2004  the key is the third
    if isinstance(instance, Pitch):
        return StreamPredictRequest(id=id_, model=spec, pitch=instance, pitch_key=pitch_key)
    return StreamPredictRequest(id=id_, model=spec, batted_ball=instance, pitch_key=pitch_key)


def get_request(spec: ModelSpec) -> GetModelRequest:
    """Return the request of GetModel."""
    return GetModelRequest(model=spec)


def resolve_request(references: Iterable[PlayerReference]) -> ResolvePlayersRequest:
    """Return the request of ResolvePlayers; a str is a name."""
    return ResolvePlayersRequest(queries=[_player_query(each) for each in references])


def _player_query(reference: PlayerReference) -> PlayerQuery:
    if isinstance(reference, PlayerId):
        return PlayerQuery(id=reference)
    return PlayerQuery(name=PlayerName(name=reference) if isinstance(reference, str) else reference)


@overload
def stream_requests(spec: ModelSpec, instances: Iterable[StreamItem]) -> Iterator[StreamPredictRequest]: ...
@overload
def stream_requests(
    spec: ModelSpec, instances: Iterable[StreamItem] | AsyncIterable[StreamItem]
) -> Iterator[StreamPredictRequest] | AsyncIterator[StreamPredictRequest]: ...
def stream_requests(
    spec: ModelSpec, instances: Iterable[StreamItem] | AsyncIterable[StreamItem]
) -> Iterator[StreamPredictRequest] | AsyncIterator[StreamPredictRequest]:
    """Yield the request of each item of a stream; the result is asynchronous if `instances` is."""
    if isinstance(instances, AsyncIterable):
        return (stream_request(spec, item) async for item in instances)
    return (stream_request(spec, item) for item in instances)
