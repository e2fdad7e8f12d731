"""The client for programs on asyncio: the same methods, awaited."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import grpc

from ondeck.v1.model_service_pb2 import ListModelsRequest, Model
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.player_service_pb2 import GetPlayerRequest, GetPlayerResponse, PlayerResolution
from ondeck.v1.player_service_pb2_grpc import PlayerServiceStub
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictResponse,
    ExplainResponse,
    Prediction,
    StreamAnswer,
    StreamPredictRequest,
)
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import requests
from ondeck_client.aio_streaming import AsyncStream, Call
from ondeck_client.channel import DEFAULT_TIMEOUT, MAX_MESSAGE_BYTES, CallDefaults, ChannelOptions, channel_options
from ondeck_client.requests import Asked, Columns, Instance, Question
from ondeck_client.stream_retry import StreamRetryPolicy, resuming


class AsyncClient:
    """A connection to Ondeck for one event loop; as `ondeck_client.Client`, which describes the arguments.

    >>> async with AsyncClient("127.0.0.1:50051") as ondeck:
    ...     prediction = await ondeck.predict("batted_ball", BattedBall(launch_speed=108, launch_angle=27))
    """

    def __init__(  # noqa: PLR0913  a connection has this many sides, all but one named
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        wait_for_ready: bool = False,
        health: str | None = "",
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        options: ChannelOptions = (),
    ) -> None:
        chosen = channel_options(max_message_bytes, health, options)
        self._channel = (
            grpc.aio.insecure_channel(target, chosen)
            if credentials is None
            else grpc.aio.secure_channel(target, credentials, chosen)
        )
        self._predictions = PredictionServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._players = PlayerServiceStub(self._channel)
        self._manner = CallDefaults(timeout=timeout, wait_for_ready=wait_for_ready)

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
        return (await self._predictions.Predict(request, **self._manner.of_call(timeout))).prediction

    async def explain(  # noqa: PLR0913  as predict, and one word more
        self,
        model: str,
        instance: Instance,
        *,
        outcome: str = "",
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109  gRPC carries it to the server as the deadline
    ) -> ExplainResponse:
        """Ask a model how far each field of one instance moved the probability of an outcome from its base rate."""
        request = requests.explain_request(requests.model_spec(model, version, alias), instance, outcome)
        return await self._predictions.Explain(request, **self._manner.of_call(timeout))

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
        return await self._predictions.BatchPredict(request, **self._manner.of_call(timeout))

    def stream(  # noqa: PLR0913  as predict, and one word more
        self,
        model: str,
        instances: Iterable[Asked] | AsyncIterable[Asked],
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        persistence: StreamRetryPolicy | None = None,
    ) -> AsyncGenerator[StreamAnswer, None]:
        """Ask about instances as they come, each with an id of yours; answers come in their order.

        All is as `ondeck_client.Client.stream` says, but that `instances` may be an asynchronous iterable, which a
        task of its own reads. To leave early, `aclose` the generator: Python itself does so only when it gets to it.
        """
        asked = requests.stream_requests(requests.model_spec(model, version, alias), instances)
        return AsyncStream(self._open, asked, resuming(persistence), timeout).answers()

    async def models(self, *, timeout: float | None = None) -> list[Model]:  # noqa: ASYNC109  as above
        """List every version of every model."""
        return list((await self._models.ListModels(ListModelsRequest(), **self._manner.of_call(timeout))).models)

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
        return (await self._models.GetModel(request, **self._manner.of_call(timeout))).model

    async def resolve(
        self,
        questions: Iterable[Question],
        *,
        timeout: float | None = None,  # noqa: ASYNC109  as above
    ) -> list[PlayerResolution]:
        """Ask who is meant by names and ids; answers come in their order."""
        request = requests.resolve_request(questions)
        return list((await self._players.ResolvePlayers(request, **self._manner.of_call(timeout))).resolutions)

    async def player(self, player_id: int, *, timeout: float | None = None) -> GetPlayerResponse:  # noqa: ASYNC109  as above
        """Tell about one player, by his MLBAM id."""
        return await self._players.GetPlayer(GetPlayerRequest(player_id=player_id), **self._manner.of_call(timeout))

    async def close(self) -> None:
        """Let the connection go."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _open(self, asked: AsyncIterator[StreamPredictRequest], left: float | None) -> Call:
        return self._predictions.StreamPredict(asked, **self._manner.of_stream(left))
