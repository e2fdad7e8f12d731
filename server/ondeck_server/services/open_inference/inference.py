"""One request, from its message to its answer, alone or in a stream."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from ondeck_server.batching.batcher import priority_of
from ondeck_server.batching.queue import Outputs, Priority
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.servable import Lease
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.errors import map_and_log
from ondeck_server.rpc.ordered_stream import PendingResult, answered_in_order
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.open_inference.decode import features_of, positions, waiting
from ondeck_server.services.open_inference.encode import ResponseEncoder, failed_in_stream, in_stream
from ondeck_server.services.open_inference.selection import wanted

_now = time.perf_counter_ns


@dataclass(slots=True)
class _Asked:
    """A request on its way through a run, and the hold on its version until it is answered."""

    request: ModelInferRequest
    call: CallContext
    answers: ResponseEncoder
    places: list[int] | None
    ran: asyncio.Future[Outputs]
    since: int
    lease: Lease

    def written(self, ran: Outputs) -> ModelInferResponse:
        """Write the answer, and count it."""
        served = self.lease.servable
        response = self.answers.answer(self.request, served.loaded, ran, self.places)
        tally = served.stats
        tally.succeeded += 1
        tally.success += _now() - self.since
        tally.last = time.time_ns() // 1_000_000
        return response

    async def answer(self) -> ModelStreamInferResponse:
        """Answer in a stream."""
        with self.lease:
            try:
                return in_stream(self.written(await self.ran))
            except Exception as error:  # noqa: BLE001  it becomes this request's answer
                _count_failure(self.lease, self.since)
                return failed_in_stream(self.request, map_and_log(error, self.call).message)

    def drop(self) -> None:
        """Give it up."""
        self.ran.cancel()
        self.lease.release()


@dataclass(slots=True)
class _Refused:
    refusal: ModelStreamInferResponse

    async def answer(self) -> ModelStreamInferResponse:
        return self.refusal

    def drop(self) -> None:
        """Nothing is held."""


class TensorInference:
    """Has requests run and answered."""

    def __init__(self, models: ModelManager, rates: GcraLimiter) -> None:
        self._models = models
        self._rates = rates
        self._answers = ResponseEncoder()

    async def infer(self, request: ModelInferRequest, call: CallContext) -> ModelInferResponse:
        """Answer a request."""
        asked = self._ask(request, call)
        try:
            return asked.written(await asked.ran)
        except BaseException:
            _count_failure(asked.lease, asked.since)
            raise
        finally:
            asked.lease.release()

    async def stream(
        self, requests: AsyncIterator[ModelInferRequest], call: CallContext
    ) -> AsyncGenerator[ModelStreamInferResponse, None]:
        """Answer requests in their order; one that cannot be answered gets its error, and the stream goes on."""

        def begin(request: ModelInferRequest) -> PendingResult[ModelStreamInferResponse]:
            try:
                return self._ask(request, call)
            except Exception as error:  # noqa: BLE001  it becomes this request's answer
                return _Refused(failed_in_stream(request, map_and_log(error, call).message))

        async with aclosing(answered_in_order(requests, begin)) as ready:
            async for together in ready:
                for answer in together:
                    yield answer

    def _ask(self, request: ModelInferRequest, call: CallContext) -> _Asked:
        since = _now()
        lease = self._models.lease(wanted(self._models, request.model_name, request.model_version, "model_name"))
        session = lease.servable.loaded.session
        try:
            features = features_of(request, session.inputs[0])
            places = positions(request, session.outputs) if request.outputs else None
            within, priority = call.time_left(), priority_of(len(features))
            if request.parameters:
                first, limit = waiting(request)
                within = limit if within is None else min(within, limit or within)
                priority = Priority.INTERACTIVE if first else priority
            self._rates.consume(call, len(features))
            ran = lease.servable.graph.start(features, within, priority)
        except BaseException:
            _count_failure(lease, since)
            lease.release()
            raise
        return _Asked(request, call, self._answers, places, ran, since, lease)


def _count_failure(lease: Lease, since: int) -> None:
    tally = lease.servable.stats
    tally.failed += 1
    tally.fail += _now() - since
