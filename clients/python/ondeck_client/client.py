"""The client for threads; generated from aio.py by tools/generate.py, do not edit."""

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from types import TracebackType
from typing import Self, TypeVar

import grpc

from ondeck.v1.model_service_pb2 import ListModelsRequest, Model
from ondeck.v1.model_service_pb2_grpc import ModelServiceStub
from ondeck.v1.player_service_pb2 import GetPlayerRequest, GetPlayerResponse, PlayerResolution
from ondeck.v1.player_service_pb2_grpc import PlayerServiceStub
from ondeck.v1.prediction_service_pb2 import (
    BatchPredictResponse,
    ExplainResponse,
    PitchKey,
    PitchKeyColumns,
    Prediction,
    StreamAnswer,
    StreamPredictRequest,
)
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_client import requests
from ondeck_client.channel_options import (
    DEFAULT_TIMEOUT,
    FIRST_BACKOFF,
    MAX_MESSAGE_BYTES,
    CallDefaults,
    CallOptions,
    ChannelOptions,
    channel_options,
)
from ondeck_client.channels import CALLED, MODELS, PLAYERS, Attempts, Channels, model_health
from ondeck_client.correlation import attach_correlation_id, id_of_call
from ondeck_client.error_details import is_unhealthy, retry_pause_of
from ondeck_client.requests import Columns, Instance, PlayerReference, StreamItem
from ondeck_client.stream_retry import StreamRetryPolicy, new_session
from ondeck_client.streaming import Stream, StreamCall

R = TypeVar("R")


class Connection:
    """A channel, and the stubs of the services on it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.predictions = PredictionServiceStub(channel)
        self.models = ModelServiceStub(channel)
        self.players = PlayerServiceStub(channel)


class Client:
    """A connection to Ondeck; threads may share it.

    A failed call raises `grpc.RpcError`; `reason_of`, `violations_of` and `correlation_id_of` read its details.

    >>> with Client("127.0.0.1:50051") as ondeck:
    ...     pitch = Pitch(plate_x=0, plate_z=2.5, sz_top=3.4, sz_bot=1.6)
    ...     prediction = ondeck.predict("called_strike", pitch)

    Args:
        target: gRPC target of the server, for example `127.0.0.1:50051` or `dns:///ondeck.example:50051`.
        credentials: TLS credentials, for example `tls(ca="ca.pem")`; None: plaintext.
        timeout: default deadline of a call, in seconds.
        wait_for_ready: whether a call waits, until its deadline, for a server that cannot be reached yet.
        health: name that a replica must report as SERVING to get calls. `"*"`, the default: that of the model, version
            or service that is called; if no replica serves it, the call is sent anyway, so that its error has the
            reason. `""`: the whole server; None: health is not checked.
        max_message_bytes: maximum size of a message in either direction; the server has its own limit.
        options: further gRPC channel options; they override those of the client.
    """

    def __init__(  # noqa: PLR0913  keyword-only options of a connection
        self,
        target: str,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        wait_for_ready: bool = False,
        health: str | None = CALLED,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        options: ChannelOptions = (),
    ) -> None:
        def open_channel(checked: str | None, attempts: Attempts) -> Connection:
            merged = channel_options(target, max_message_bytes, checked, options, attempts)
            if credentials is None:
                return Connection(grpc.insecure_channel(target, merged))
            return Connection(grpc.secure_channel(target, credentials, merged))

        self._channels = Channels(open_channel, health)
        self._defaults = CallDefaults(timeout=timeout, wait_for_ready=wait_for_ready)

    def predict(  # noqa: PLR0913  keyword-only options of the call
        self,
        model: str,
        instance: Instance,
        *,
        pitch_key: PitchKey | None = None,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> Prediction:
        """Return the prediction for one instance.

        Args:
            model: name of the model, for example `batted_ball`.
            instance: a `Pitch` or a `BattedBall`, as the task of the model requires.
            pitch_key: the pitch, so that the server can compare the prediction with the observed outcome later.
            version: version number; default: the version in production.
            alias: alias of the version, for example `candidate`, instead of its number.
            timeout: deadline of the call, in seconds.
            correlation_id: id of the call in the logs of client and server; default: that of `correlated`, else a new
                one. `correlation_id_of` reads it from an error.
        """
        request = requests.predict_request(requests.model_spec(model, version, alias), instance, pitch_key)
        name = model_health(model, version, alias)
        response = self._call(
            name, timeout, correlation_id, lambda to, options: to.predictions.Predict(request, **options)
        )
        return response.prediction

    def explain(  # noqa: PLR0913  the arguments of predict, and the outcome
        self,
        model: str,
        instance: Instance,
        *,
        outcome: str = "",
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> ExplainResponse:
        """Return how far each field of an instance moves the probability of an outcome from its base rate.

        `outcome` is the outcome to explain; default: the most likely one. The other arguments are those of `predict`.
        """
        request = requests.explain_request(requests.model_spec(model, version, alias), instance, outcome)
        name = model_health(model, version, alias)
        return self._call(name, timeout, correlation_id, lambda to, options: to.predictions.Explain(request, **options))

    def batch_predict(  # noqa: PLR0913  as predict
        self,
        model: str,
        columns: Columns,
        *,
        pitch_keys: PitchKeyColumns | None = None,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> BatchPredictResponse:
        """Return the predictions for many instances, given as columns; one invalid row fails the call.

        Probabilities are row-major: row r, outcome k is at `r * len(outcomes) + k`. `pitch_keys` has the pitch of each
        row, as `pitch_key` of `predict`.
        """
        request = requests.batch_request(requests.model_spec(model, version, alias), columns, pitch_keys)
        name = model_health(model, version, alias)
        return self._call(
            name, timeout, correlation_id, lambda to, options: to.predictions.BatchPredict(request, **options)
        )

    def stream(  # noqa: PLR0913  the arguments of predict, and the retry policy
        self,
        model: str,
        instances: Iterable[StreamItem],
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        correlation_id: str | None = None,
        retry_policy: StreamRetryPolicy | None = None,
    ) -> Generator[StreamAnswer, None, None]:
        """Yield an answer for each instance, in order; every instance comes with an id of the caller's choice.

        An item is `(id, instance)`, or `(id, instance, pitch_key)` with the pitch as in `predict`.

        An instance that is rejected gets an `error` instead of a `prediction`, and the stream continues. It ends after
        the last instance, or when the generator is closed. Another thread iterates `instances`; an exception that it
        raises is raised here, after the answers to all earlier instances. `timeout` is the deadline of the whole
        stream; None, the default: no deadline.

        If the call fails with UNAVAILABLE (the server stops, restarts or is lost), another call is opened and sends
        all instances that have no answer again: each instance gets exactly one answer, in order. `retry_policy` limits
        how long that is tried before the last error is raised, and how many instances may have no answer; no more
        instances are read until there is room.
        """
        stream = requests.stream_requests(requests.model_spec(model, version, alias), instances)
        name = model_health(model, version, alias)
        session = new_session(retry_policy, id_of_call(correlation_id))

        def open_call(sent: Iterator[StreamPredictRequest], seconds: float | None) -> StreamCall:
            to = self._channels.of_call(name, is_checked=not session.was_unhealthy, attempts=Attempts.FIRST)
            return to.predictions.StreamPredict(sent, **self._defaults.of_stream(seconds, session.correlation_id))

        return Stream(open_call, stream, session, timeout).answers()

    def models(
        self,
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> list[Model]:
        """Return every version of every model."""
        request = ListModelsRequest()
        response = self._call(
            MODELS, timeout, correlation_id, lambda to, options: to.models.ListModels(request, **options)
        )
        return list(response.models)

    def model(
        self,
        model: str,
        *,
        version: int | None = None,
        alias: str | None = None,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> Model:
        """Return one version: its inputs and outputs, its training data and its evaluation."""
        request = requests.get_request(requests.model_spec(model, version, alias))
        response = self._call(
            MODELS, timeout, correlation_id, lambda to, options: to.models.GetModel(request, **options)
        )
        return response.model

    def resolve(
        self,
        references: Iterable[PlayerReference],
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> list[PlayerResolution]:
        """Resolve names and ids of players, at most 10,000 in a call; resolutions are in the order of the references.

        A reference is a `PlayerName`, a `PlayerId`, or a str, which is a name. A resolution has one of `found`,
        `ambiguous` and `missing`.
        """
        request = requests.resolve_request(references)
        response = self._call(
            PLAYERS, timeout, correlation_id, lambda to, options: to.players.ResolvePlayers(request, **options)
        )
        return list(response.resolutions)

    def player(
        self,
        player_id: int,
        *,
        timeout: float | None = None,
        correlation_id: str | None = None,
    ) -> GetPlayerResponse:
        """Return the player with an MLBAM id, and their ids in other systems."""
        request = GetPlayerRequest(player_id=player_id)
        return self._call(
            PLAYERS, timeout, correlation_id, lambda to, options: to.players.GetPlayer(request, **options)
        )

    def close(self) -> None:
        """Close the connection."""
        for each in self._channels.opened:
            each.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self,
        name: str,
        timeout: float | None,
        correlation_id: str | None,
        send: Callable[[Connection, CallOptions], R],
    ) -> R:
        """Send a call under a correlation id, which its error carries."""
        chosen = id_of_call(correlation_id)
        try:
            return self._send(name, timeout, chosen, send)
        except grpc.RpcError as error:
            attach_correlation_id(error, chosen)
            raise

    def _send(
        self,
        name: str,
        timeout: float | None,
        correlation_id: str,
        send: Callable[[Connection, CallOptions], R],
    ) -> R:
        """Send a call to a server that serves `name`; to any one if none does, so that its error has the reason."""
        begin, is_checked, attempts = time.monotonic(), True, Attempts.LATER
        try:
            first = self._channels.of_call(name, attempts=Attempts.FIRST)
            return send(first, self._defaults.of_call(timeout, correlation_id))
        except grpc.RpcError as error:
            pause = retry_pause_of(error, FIRST_BACKOFF * random.uniform(0.8, 1.2))  # noqa: S311  no secret
            if pause is None or not self._channels.is_per_call:
                raise
            if is_unhealthy(error):
                is_checked, attempts, pause = False, Attempts.ALL, 0
        left = self._defaults.seconds(timeout) - (time.monotonic() - begin)
        time.sleep(min(pause, max(0, left)))
        to = self._channels.of_call(name, is_checked=is_checked, attempts=attempts)
        return send(to, self._defaults.of_call(max(0, left - pause), correlation_id))
