"""The client for programs with threads, or with none."""

from collections.abc import Generator, Iterable, Iterator
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
from ondeck_client.channel import DEFAULT_TIMEOUT, MAX_MESSAGE_BYTES, CallDefaults, ChannelOptions, channel_options
from ondeck_client.requests import Asked, Columns, Instance, Question
from ondeck_client.stream_retry import StreamRetryPolicy, resuming
from ondeck_client.streaming import Call, Stream


class Client:
    """A connection to Ondeck; safe to share among threads.

    A failed call raises `grpc.RpcError`, as gRPC does; `reason_of` and `violations_of` say what it means.

    >>> with Client("127.0.0.1:50051") as ondeck:
    ...     prediction = ondeck.predict("called_strike", Pitch(plate_x=0, plate_z=2.5, sz_top=3.4, sz_bot=1.6))

    Args:
        target: where the server is, for example `127.0.0.1:50051` or `dns:///ondeck.example:50051`.
        credentials: how to secure the connection, for example `tls(ca="ca.pem")`; None: not at all.
        timeout: seconds that a call may take unless it says otherwise.
        wait_for_ready: whether a call waits, within its time, for a server that is not there yet.
        health: the health name that a replica must serve under to be asked, for example `models/batted_ball`; "", the
            default: the whole server; None: replicas are asked whatever their health.
        max_message_bytes: largest message sent or taken; the server has its own limit, too.
        options: further gRPC channel options; they win over those that the client sets.
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
            grpc.insecure_channel(target, chosen)
            if credentials is None
            else grpc.secure_channel(target, credentials, chosen)
        )
        self._predictions = PredictionServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)
        self._players = PlayerServiceStub(self._channel)
        self._manner = CallDefaults(timeout=timeout, wait_for_ready=wait_for_ready)

    def predict(
        self,
        model: str,
        instance: Instance,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> Prediction:
        """Ask a model about one instance.

        Args:
            model: name of the model, for example `batted_ball`.
            instance: what its task takes: a `Pitch` or a `BattedBall`.
            version: number of the version to ask; default: the one in production.
            alias: another name of the version to ask, for example `candidate`.
            timeout: seconds that the call may take.
        """
        request = requests.predict_request(requests.model_spec(model, version, alias), instance)
        return self._predictions.Predict(request, **self._manner.of_call(timeout)).prediction

    def explain(  # noqa: PLR0913  as predict, and one word more
        self,
        model: str,
        instance: Instance,
        *,
        outcome: str = "",
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> ExplainResponse:
        """Ask a model how far each field of one instance moved the probability of an outcome from its base rate.

        `outcome` is the one that is explained; default: the likeliest. The other arguments are those of `predict`.
        """
        request = requests.explain_request(requests.model_spec(model, version, alias), instance, outcome)
        return self._predictions.Explain(request, **self._manner.of_call(timeout))

    def batch_predict(
        self,
        model: str,
        columns: Columns,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
    ) -> BatchPredictResponse:
        """Ask a model about many instances at once, given as columns; all rows are answered, or none.

        Probabilities come row-major: that of row r and outcome k stands at `r * len(outcomes) + k`.
        """
        request = requests.batch_request(requests.model_spec(model, version, alias), columns)
        return self._predictions.BatchPredict(request, **self._manner.of_call(timeout))

    def stream(  # noqa: PLR0913  as predict, and one word more
        self,
        model: str,
        instances: Iterable[Asked],
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        persistence: StreamRetryPolicy | None = None,
    ) -> Generator[StreamAnswer, None, None]:
        """Ask about instances as they come, each with an id of yours; answers come in their order.

        An instance that cannot be answered has an `error` instead of a `prediction`, and the stream goes on. It ends
        with the instances, or when the generator is closed. `instances` is iterated in another thread; what it raises
        is raised here, after the answers to what it gave before. `timeout` is for the whole stream; None, the
        default, lets it go on for ever.

        When the call breaks with UNAVAILABLE (a server that stops, restarts or is lost), another is opened, and what
        has no answer is asked again: each instance is answered once, in its order. `persistence` says for how long
        that is tried before the last error is raised, and how many instances may be without an answer; more are not
        read before.
        """
        asked = requests.stream_requests(requests.model_spec(model, version, alias), instances)
        return Stream(self._open, asked, resuming(persistence), timeout).answers()

    def models(self, *, timeout: float | None = None) -> list[Model]:
        """List every version of every model."""
        return list(self._models.ListModels(ListModelsRequest(), **self._manner.of_call(timeout)).models)

    def model(
        self, model: str, *, version: int | None = None, alias: str | None = None, timeout: float | None = None
    ) -> Model:
        """Tell about one version: what it takes and gives, what it learned from, how it was judged."""
        request = requests.get_request(requests.model_spec(model, version, alias))
        return self._models.GetModel(request, **self._manner.of_call(timeout)).model

    def resolve(self, questions: Iterable[Question], *, timeout: float | None = None) -> list[PlayerResolution]:
        """Ask who is meant by names and ids, at most 10,000; answers come in their order.

        A question is a `PlayerName`, a `PlayerId`, or a text, which is a name. Its answer has one of `found`,
        `ambiguous` and `missing`.
        """
        request = requests.resolve_request(questions)
        return list(self._players.ResolvePlayers(request, **self._manner.of_call(timeout)).resolutions)

    def player(self, player_id: int, *, timeout: float | None = None) -> GetPlayerResponse:
        """Tell about one player, by his MLBAM id, and his ids in other systems."""
        return self._players.GetPlayer(GetPlayerRequest(player_id=player_id), **self._manner.of_call(timeout))

    def close(self) -> None:
        """Let the connection go."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, asked: Iterator[StreamPredictRequest], left: float | None) -> Call:
        return self._predictions.StreamPredict(asked, **self._manner.of_stream(left))
