"""A stream of instances: what each is asked of, and how it is answered."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.instances import Matrix
from ondeck_server.batching.queue import Outputs
from ondeck_server.inference.predictor import PredictionInput, Predictor
from ondeck_server.models.servable import TaskLease
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.errors import map_and_log
from ondeck_server.rpc.ordered_stream import PendingResult, answered_in_order
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.prediction import decode, encode

LONGEST_ID: Final = 128


@dataclass(kw_only=True, slots=True)
class _Running:
    """An instance on its way through a run."""

    id: str
    call: CallContext
    predictor: Predictor
    lease: TaskLease
    instance: Matrix
    ran: asyncio.Future[Outputs]

    async def answer(self) -> StreamAnswer:
        with self.lease:
            try:
                answer = self.predictor.finish(self.lease, self.instance, await self.ran)
            except Exception as error:  # noqa: BLE001  it becomes this instance's answer
                return _refusal(self.id, error, self.call)
            return StreamAnswer(id=self.id, prediction=encode.prediction(answer))

    def drop(self) -> None:
        self.ran.cancel()
        self.lease.release()


@dataclass(kw_only=True, slots=True)
class _Refused:
    """An instance that will not be answered, and what its caller is told."""

    refusal: StreamAnswer

    async def answer(self) -> StreamAnswer:
        return self.refusal

    def drop(self) -> None:
        """Nothing is held."""


class StreamPredictor:
    """Begins the answers of one stream."""

    def __init__(self, predictor: Predictor, rates: GcraLimiter, call: CallContext) -> None:
        self._predictor = predictor
        self._rates = rates
        self._call = call

    def begin(self, request: StreamPredictRequest) -> PendingResult[StreamAnswer]:
        """Have an instance run; what is wrong with it becomes its answer."""
        try:
            if len(request.id) > LONGEST_ID:
                raise InvalidInstanceError([Violation("id", f"must be of at most {LONGEST_ID} characters")])  # noqa: TRY301  one way out for all errors
            lease = self._predictor.lease(decode.wanted(request.model))
        except Exception as error:  # noqa: BLE001  it becomes this instance's answer
            return _Refused(refusal=_refusal(request.id, error, self._call))
        try:
            return self._begin(request, lease)
        except Exception as error:  # noqa: BLE001  as above
            lease.release()
            return _Refused(refusal=_refusal(request.id, error, self._call))

    def _begin(self, request: StreamPredictRequest, lease: TaskLease) -> _Running:
        task = lease.version.task
        instance = decode.instance_of(request, task)
        self._rates.consume(self._call, len(instance))
        asked = PredictionInput(instances=instance, path=task.instance.path, within=self._call.time_left())
        ran = self._predictor.start(lease, asked)
        return _Running(
            id=request.id, call=self._call, predictor=self._predictor, lease=lease, instance=instance, ran=ran
        )


async def answer_in_order(
    asking: StreamPredictor, requests: AsyncIterator[StreamPredictRequest]
) -> AsyncGenerator[StreamPredictResponse, None]:
    """Answer requests in their order; an instance that cannot be answered gets its error, and the stream goes on."""
    async with aclosing(answered_in_order(requests, asking.begin)) as ready:
        async for together in ready:
            yield StreamPredictResponse(answers=together)


def _refusal(id_: str, error: Exception, call: CallContext) -> StreamAnswer:
    return StreamAnswer(id=id_, error=encode.stream_error(map_and_log(error, call)))
