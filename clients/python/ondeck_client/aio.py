"""The client for programs on asyncio: the same methods, awaited."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from ondeck.v1.model_service_pb2 import ListModelsRequest, Model
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.prediction_service_pb2 import BatchPredictResponse, Prediction, StreamAnswer, StreamPredictRequest
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import requests
from ondeck_client.channel import DEFAULT_TIMEOUT, channel_options
from ondeck_client.requests import Columns, Instance

Asked = tuple[str, Instance]


class AsyncClient:
    """A connection to Ondeck for one event loop; as `ondeck_client.Client`, which describes the arguments."""

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
            grpc.aio.insecure_channel(target, chosen)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, chosen)
        )
        self._predictions = PredictionServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._timeout = timeout

    async def predict(
        self,
        model: str,
        instance: Instance,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  gRPC carries it to the server as the deadline
    ) -> Prediction:
        """Ask a model about one instance."""
        request = requests.predict_request(requests.model_spec(model, version, alias), instance)
        response = await self._predictions.Predict(request, timeout=self._or_default(timeout))
        return response.prediction

    async def batch_predict(
        self,
        model: str,
        columns: Columns,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  gRPC carries it to the server as the deadline
    ) -> BatchPredictResponse:
        """Ask a model about many instances at once; probabilities come row-major."""
        request = requests.batch_request(requests.model_spec(model, version, alias), columns)
        return await self._predictions.BatchPredict(request, timeout=self._or_default(timeout))

    async def stream(
        self,
        model: str,
        instances: Iterable[Asked] | AsyncIterable[Asked],
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  gRPC carries it to the server as the deadline
    ) -> AsyncIterator[StreamAnswer]:
        """Ask about instances as they come, each with an id of yours; answers come in their order.

        `timeout` is for the whole stream; None, the default, lets it go on for ever.
        """
        spec = requests.model_spec(model, version, alias)

        async def asked() -> AsyncIterator[StreamPredictRequest]:
            async for id_, instance in _as_async(instances):
                yield requests.stream_request(spec, id_, instance)

        async for response in self._predictions.StreamPredict(asked(), timeout=timeout):
            for answer in response.answers:
                yield answer

    async def models(self, *, timeout: float | None = None) -> list[Model]:  # noqa: ASYNC109  as above
        """List every version of every model."""
        response = await self._models.ListModels(ListModelsRequest(), timeout=self._or_default(timeout))
        return list(response.models)

    async def model(
        self,
        model: str,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> Model:
        """Tell about one version."""
        request = requests.get_request(requests.model_spec(model, version, alias))
        return (await self._models.GetModel(request, timeout=self._or_default(timeout))).model

    async def close(self) -> None:
        """Let the connection go."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _or_default(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else timeout


async def _as_async(items: Iterable[Asked] | AsyncIterable[Asked]) -> AsyncIterator[Asked]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
