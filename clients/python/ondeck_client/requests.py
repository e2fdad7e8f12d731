"""Requests, built alike for both clients."""

from ondeck.v1.instances_pb2 import BattedBall, BattedBallColumns, Pitch, PitchColumns
from ondeck.v1.model_service_pb2 import GetModelRequest
from ondeck.v1.model_spec_pb2 import ModelSpec
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest, PredictRequest, StreamPredictRequest

Instance = Pitch | BattedBall
Columns = PitchColumns | BattedBallColumns


def model_spec(model: str, version: int | None, alias: str | None) -> ModelSpec:
    """Name a model; its version by number or by alias, or neither for the one in production.

    Raises:
        ValueError: both are given.
    """
    if version is not None and alias is not None:
        raise ValueError("a version is named by its number or by an alias, not by both")
    if version is not None:
        return ModelSpec(name=model, version=version)
    return ModelSpec(name=model) if alias is None else ModelSpec(name=model, alias=alias)


def predict_request(spec: ModelSpec, instance: Instance) -> PredictRequest:
    """Ask about one instance."""
    if isinstance(instance, Pitch):
        return PredictRequest(model=spec, pitch=instance)
    return PredictRequest(model=spec, batted_ball=instance)


def batch_request(spec: ModelSpec, columns: Columns) -> BatchPredictRequest:
    """Ask about many instances."""
    if isinstance(columns, PitchColumns):
        return BatchPredictRequest(model=spec, pitches=columns)
    return BatchPredictRequest(model=spec, batted_balls=columns)


def stream_request(spec: ModelSpec, id_: str, instance: Instance) -> StreamPredictRequest:
    """Ask about one instance of a stream."""
    if isinstance(instance, Pitch):
        return StreamPredictRequest(id=id_, model=spec, pitch=instance)
    return StreamPredictRequest(id=id_, model=spec, batted_ball=instance)


def get_request(spec: ModelSpec) -> GetModelRequest:
    """Ask about a version."""
    return GetModelRequest(model=spec)
