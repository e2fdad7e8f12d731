"""The client for programs with threads, or with none."""

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from ondeck.v1.model_service_pb2 import ListModelsRequest, Model
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.prediction_service_pb2 import BatchPredictResponse, Prediction, StreamAnswer
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import requests
from ondeck_client.channel import DEFAULT_TIMEOUT, channel_options
from ondeck_client.requests import Columns, Instance


class Client:
    """A connection to Ondeck; safe to share among threads. Errors are `grpc.RpcError`; see `ondeck_client.errors`.

    Args:
        target: where the server is, for example `127.0.0.1:50051` or `dns:///ondeck.example:50051`.
        credentials: how to secure the connection; None: not at all.
        timeout: seconds that a call may take unless it says otherwise.
        options: further gRPC channel options.
    """

    def __init__(
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        chosen = channel_options(options)
        self._channel = (
            grpc.insecure_channel(target, chosen)
            if credentials is None
            else grpc.secure_channel(target, credentials, chosen)
        )
        self._predictions = PredictionServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._timeout = timeout

    def predict(
        self,
        model: str,
        instance: Instance,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Ask a model about one instance."""
        request = requests.predict_request(requests.model_spec(model, version, alias), instance)
        return self._predictions.Predict(request, timeout=self._or_default(timeout)).prediction

    def batch_predict(
        self,
        model: str,
        columns: Columns,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> BatchPredictResponse:
        """Ask a model about many instances at once; probabilities come row-major."""
        request = requests.batch_request(requests.model_spec(model, version, alias), columns)
        return self._predictions.BatchPredict(request, timeout=self._or_default(timeout))

    def stream(
        self,
        model: str,
        instances: Iterable[tuple[str, Instance]],
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> Iterator[StreamAnswer]:
        """Ask about instances as they come, each with an id of yours; answers come in their order.

        `timeout` is for the whole stream; None, the default, lets it go on for ever.
        """
        spec = requests.model_spec(model, version, alias)
        asked = (requests.stream_request(spec, id_, instance) for id_, instance in instances)
        for response in self._predictions.StreamPredict(asked, timeout=timeout):
            yield from response.answers

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """List every version of every model."""
        return list(self._models.ListModels(ListModelsRequest(), timeout=self._or_default(timeout)).models)

    def model(
        self, model: str, *, version: int | None = None, alias: str | None = None, timeout: float | None = None
    ) -> Model:
        """Tell about one version."""
        request = requests.get_request(requests.model_spec(model, version, alias))
        return self._models.GetModel(request, timeout=self._or_default(timeout)).model

    def close(self) -> None:
        """Let the connection go."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _or_default(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout
