"""The handlers of `ondeck.v1.PredictionService`."""

from collections.abc import AsyncGenerator, AsyncIterator

from ondeck.v1.prediction_service_pb2 import (
    BatchPredictRequest,
    BatchPredictResponse,
    ExplainRequest,
    ExplainResponse,
    PredictRequest,
    PredictResponse,
    StreamPredictRequest,
    StreamPredictResponse,
)
from ondeck_server.inference.explainer import explain
from ondeck_server.inference.predictor import PredictionInput, Predictor
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.rate_limit import GcraLimiter
from ondeck_server.services.prediction import decode, encode
from ondeck_server.services.prediction.encode_explanation import explanation
from ondeck_server.services.prediction.stream import StreamPredictor, answer_in_order


class PredictionService:
    """Answers predictions; one method for each rpc."""

    def __init__(self, predictor: Predictor, max_message_bytes: int, rates: GcraLimiter) -> None:
        self._predictor = predictor
        self._max_message_bytes = max_message_bytes
        self._rates = rates

    async def predict(self, call: CallContext, request: PredictRequest) -> PredictResponse:
        """Answer one instance."""
        with self._predictor.lease(decode.wanted(request.model)) as lease:
            task = lease.version.task
            asked = PredictionInput(
                instances=decode.instance_of(request, task), path=task.instance.path, within=call.time_left()
            )
            self._rates.consume(call, 1)
            return PredictResponse(prediction=encode.prediction(await self._predictor.predict(lease, asked)))

    async def batch_predict(self, call: CallContext, request: BatchPredictRequest) -> BatchPredictResponse:
        """Answer many instances, all or none."""
        with self._predictor.lease(decode.wanted(request.model)) as lease:
            task = lease.version.task
            asked = PredictionInput(
                instances=decode.columns_of(request, task, encode.most_rows(task, self._max_message_bytes)),
                path=task.instance.columns_path,
                rows_named=True,
                within=call.time_left(),
            )
            self._rates.consume(call, len(asked.instances))
            return encode.batch(await self._predictor.predict(lease, asked))

    def stream_predict(
        self, call: CallContext, requests: AsyncIterator[StreamPredictRequest]
    ) -> AsyncGenerator[StreamPredictResponse, None]:
        """Answer instances as they come, in their order."""
        return answer_in_order(StreamPredictor(self._predictor, self._rates, call), requests)

    async def explain(self, call: CallContext, request: ExplainRequest) -> ExplainResponse:
        """Tell how much each field moved the probability of an outcome."""
        with self._predictor.lease(decode.wanted(request.model)) as lease:
            instance = decode.instance_of(request, lease.version.task)
            self._rates.consume(call, 1)
            return explanation(await explain(self._predictor, lease, instance, request.outcome, call.time_left()))
