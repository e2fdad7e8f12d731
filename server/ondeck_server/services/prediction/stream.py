"""The rpc StreamPredict: each instance of the stream runs and fails on its own."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Final

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.instances import Matrix
from ondeck_server.batching.queue import Outputs
from ondeck_server.inference.predictor import PredictionResult, Predictor
from ondeck_server.inference.served_predictions import PredictionSample
from ondeck_server.models.servable import TaskLease
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.errors import map_and_log
from ondeck_server.rpc.ordered_stream import PendingResult, process_in_order
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.prediction import decode, encode

MAX_ID: Final = 128  # characters


@dataclass(kw_only=True, slots=True)
class _Running:
    """An instance whose run has been queued; `record` adds its prediction to the sample, None: it is not in it."""

    id: str
    call: CallContext
    predictor: Predictor
    lease: TaskLease
    instance: Matrix
    outputs: asyncio.Future[Outputs]
    record: Callable[[PredictionResult], None] | None

    async def result(self) -> StreamAnswer:
        with self.lease:
            try:
                result = self.predictor.finish(self.lease, self.instance, await self.outputs)
            except Exception as error:  # noqa: BLE001  the error is the response to this instance
                return _failure(self.id, error, self.call)
            if self.record is not None:
                self.record(result)
            answer = StreamAnswer(id=self.id)
            encode.write_prediction(result, answer.prediction)
            return answer

    def cancel(self) -> None:
        self.outputs.cancel()
        self.lease.release()


@dataclass(kw_only=True, slots=True)
class _Failed:
    """An instance that cannot run."""

    failure: StreamAnswer

    async def result(self) -> StreamAnswer:
        return self.failure

    def cancel(self) -> None:
        """Do nothing: no lease is held."""


class StreamPredictor:
    """Predicts the instances of one stream."""

    def __init__(
        self, predictor: Predictor, rate_limiter: GcraLimiter, call: CallContext, sample: PredictionSample | None = None
    ) -> None:
        self._sample = sample
        self._predictor = predictor
        self._rate_limiter = rate_limiter
        self._call = call

    async def respond(
        self, requests: AsyncIterator[StreamPredictRequest]
    ) -> AsyncGenerator[StreamPredictResponse, None]:
        """Respond to requests in their order; the error of an instance does not end the stream."""
        async with aclosing(process_in_order(requests, self._start, self._call)) as ready:
            async for answers in ready:
                yield StreamPredictResponse(answers=answers)

    def _start(self, request: StreamPredictRequest) -> PendingResult[StreamAnswer]:
        """Queue the run of an instance; an error becomes its response."""
        try:
            if len(request.id) > MAX_ID:
                raise InvalidInstanceError([Violation("id", f"must be of at most {MAX_ID} characters")])  # noqa: TRY301  one handler for all
            lease = self._predictor.lease(decode.model_ref(request.model))
        except Exception as error:  # noqa: BLE001  the error is the response to this instance
            return _Failed(failure=_failure(request.id[:MAX_ID], error, self._call))
        try:
            return self._start_leased(request, lease)
        except Exception as error:  # noqa: BLE001  as above
            lease.release()
            return _Failed(failure=_failure(request.id[:MAX_ID], error, self._call))

    def _start_leased(self, request: StreamPredictRequest, lease: TaskLease) -> _Running:
        instance = decode.decode_instance(request, lease.version.task)
        keys = decode.decode_pitch_key(request)
        self._rate_limiter.consume(self._call, len(instance))
        outputs = self._predictor.start(lease, instance, self._call.time_left())
        record = None
        if self._sample is not None and self._sample.draws_call():
            id_ = self._call.correlation_id
            record = partial(self._sample.add, instances=instance, keys=keys, correlation_id=id_)
        return _Running(
            id=request.id,
            call=self._call,
            predictor=self._predictor,
            lease=lease,
            instance=instance,
            outputs=outputs,
            record=record,
        )


def _failure(id_: str, error: Exception, call: CallContext) -> StreamAnswer:
    return StreamAnswer(id=id_, error=encode.stream_error(map_and_log(error, call)))
