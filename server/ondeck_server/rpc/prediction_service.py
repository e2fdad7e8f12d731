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
from ondeck_server.explainer import explain
from ondeck_server.predictor import Asked, Predictor
from ondeck_server.rpc import answers, convert
from ondeck_server.rpc.call import Call
from ondeck_server.rpc.explanations import explanation
from ondeck_server.rpc.streaming import answer_in_order


class PredictionHandlers:
    """Answers predictions; one method for each rpc."""

    def __init__(self, predictor: Predictor, max_message_bytes: int) -> None:
        self._predictor = predictor
        self._max_message_bytes = max_message_bytes

    async def predict(self, call: Call, request: PredictRequest) -> PredictResponse:
        """Answer one instance."""
        with self._predictor.lease(convert.wanted(request.model)) as lease:
            task = lease.version.task
            asked = Asked(
                instances=convert.instance_of(request, task), path=task.instance.path, within=call.time_left()
            )
            return PredictResponse(prediction=answers.prediction(await self._predictor.predict(lease, asked)))

    async def batch_predict(self, call: Call, request: BatchPredictRequest) -> BatchPredictResponse:
        """Answer many instances, all or none."""
        with self._predictor.lease(convert.wanted(request.model)) as lease:
            task = lease.version.task
            asked = Asked(
                instances=convert.columns_of(request, task, answers.most_rows(task, self._max_message_bytes)),
                path=task.instance.columns_path,
                rows_named=True,
                within=call.time_left(),
            )
            return answers.batch(await self._predictor.predict(lease, asked))

    def stream_predict(
        self, call: Call, requests: AsyncIterator[StreamPredictRequest]
    ) -> AsyncGenerator[StreamPredictResponse, None]:
        """Answer instances as they come, in their order."""
        return answer_in_order(self._predictor, call, requests)

    async def explain(self, call: Call, request: ExplainRequest) -> ExplainResponse:
        """Tell how much each field moved the probability of an outcome."""
        with self._predictor.lease(convert.wanted(request.model)) as lease:
            instance = convert.instance_of(request, lease.version.task)
            return explanation(await explain(self._predictor, lease, instance, request.outcome, call.time_left()))
