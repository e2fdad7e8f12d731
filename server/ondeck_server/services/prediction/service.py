"""The handlers of `ondeck.v1.PredictionService`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    ExplainRequest,
    ExplainResponse,
    PredictRequest,
    PredictResponse,
    StreamPredictRequest,
    StreamPredictResponse,
)
from ondeck_core.instances import Matrix
from ondeck_server.batching.batcher import Batcher
from ondeck_server.batching.queue import Outputs
from ondeck_server.inference.explainer import explain
from ondeck_server.inference.predictor import PredictionResult, Predictor
from ondeck_server.inference.served_predictions import PitchKeys, PredictionSample
from ondeck_server.models.servable import TaskLease
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.field_count import VALUES_PER_FIELD
from ondeck_server.rpc.method import allow_fields
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.prediction import decode, encode
from ondeck_server.services.prediction.stream import StreamPredictor

_MAX_CODES: Final = 1 << 23  # values of enumerations in one batch, such as `stand`
_HUGE_ROWS: Final = 1 << 16  # calls of more take turns: a row needs 200 bytes


@dataclass(slots=True)
class PendingPrediction:
    """A call of Predict whose run has been queued, and the lease on its version until it has a response.

    `record` adds the prediction to the sample; None: it is not in the sample.
    """

    predictor: Predictor
    lease: TaskLease
    instance: Matrix
    outputs: asyncio.Future[Outputs]
    record: Callable[[PredictionResult], None] | None

    def finish(self) -> PredictResponse:
        """Return the response and release the lease; `outputs` are done, and their error is raised."""
        with self.lease:
            result = self.predictor.finish(self.lease, self.instance, self.outputs.result())
            if self.record is not None:
                self.record(result)
            response = PredictResponse()
            encode.write_prediction(result, response.prediction)
            return response

    def __await__(self) -> Generator[Any, Any, PredictResponse]:
        """Wait for the response; a cancellation cancels the run."""
        try:
            with suppress(Exception):  # `finish` raises it
                yield from self.outputs
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.finish()

    def cancel(self) -> None:
        """Cancel the run and release the lease."""
        self.outputs.cancel()
        self.lease.release()


class PredictionService:
    """One method for each rpc."""

    def __init__(
        self,
        predictor: Predictor,
        max_message_bytes: int,
        rate_limiter: GcraLimiter,
        sample: PredictionSample | None = None,
    ) -> None:
        self._sample = sample
        self._predictor = predictor
        self._max_message_bytes = max_message_bytes
        self._rate_limiter = rate_limiter
        self._huge_calls = asyncio.Lock()

    def predict(self, call: CallContext, request: PredictRequest) -> PendingPrediction:
        """Predict one instance."""
        lease = self._predictor.lease(decode.model_ref(request.model))
        try:
            instance = decode.decode_instance(request, lease.version.task)
            keys = decode.decode_pitch_key(request)
            self._rate_limiter.consume(call, 1)
            outputs = self._predictor.start(lease, instance, call.time_left())
        except BaseException:
            lease.release()
            raise
        record = None
        if self._sample is not None and self._sample.draws_call():
            record = partial(self._sample.add, instances=instance, keys=keys, correlation_id=call.correlation_id)
        return PendingPrediction(self._predictor, lease, instance, outputs, record)

    @allow_fields(_MAX_CODES // VALUES_PER_FIELD)
    async def batch_predict(self, call: CallContext, request: BatchPredictRequest) -> bytes:
        """Predict many instances, all or none; return the serialized `BatchPredictResponse`."""
        with self._predictor.lease(decode.model_ref(request.model)) as lease:
            task = lease.version.task
            columns = decode.decode_columns(request, task, encode.max_rows(task, self._max_message_bytes))
            has_keys = decode.check_pitch_keys(request, columns.rows)
            self._rate_limiter.consume(call, columns.rows)
            async with self._huge_calls if columns.rows > _HUGE_ROWS else nullcontext():
                instances = await _instances(columns, lease.batcher)
                keys = await _pitch_keys(request, columns.rows, lease.batcher) if has_keys else None
                result = await self._predictor.predict_batch(lease, instances, call.time_left())
                if self._sample is not None:
                    self._sample.add_batch(result, instances, keys, call.correlation_id)
                del instances  # memory that the response needs
                response = encode.batch(result)
                parts = await lease.batcher.in_slices(
                    columns.rows, lambda rows: encode.encode_rows(result, rows, response)
                )
                return b"".join([response.SerializeToString(), *parts])

    def stream_predict(
        self, call: CallContext, requests: AsyncIterator[StreamPredictRequest]
    ) -> AsyncGenerator[StreamPredictResponse, None]:
        """Predict instances as they arrive; respond in their order."""
        return StreamPredictor(self._predictor, self._rate_limiter, call, self._sample).respond(requests)

    async def explain(self, call: CallContext, request: ExplainRequest) -> ExplainResponse:
        """Explain the probability of an outcome by the fields of the instance."""
        with self._predictor.lease(decode.model_ref(request.model)) as lease:
            instance = decode.decode_instance(request, lease.version.task)
            self._rate_limiter.consume(call, 1)
            explained = await explain(self._predictor, lease, instance, request.outcome, call.time_left())
            return encode.explanation(explained)


async def _instances(columns: decode.Columns, batcher: Batcher) -> Matrix:
    """Return the matrix of columns; other calls run between its slices."""
    instances: Matrix = np.empty((columns.rows, len(columns.instance.fields)), np.float32)

    def write(rows: slice) -> None:
        instances[rows] = columns.matrix(rows)

    await batcher.in_slices(columns.rows, write)
    return instances


async def _pitch_keys(request: BatchPredictRequest, rows: int, batcher: Batcher) -> PitchKeys:
    """Return the keys of all rows; other calls run between their slices."""
    return np.concatenate(await batcher.in_slices(rows, partial(decode.decode_pitch_keys, request)))
