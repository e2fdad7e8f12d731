"""The handlers of `ondeck.v1.PredictionService`."""

from collections.abc import AsyncIterator

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
from ondeck_server.predictor import Predictor
from ondeck_server.rates import Rates
from ondeck_server.rpc import answers, convert
from ondeck_server.rpc.call import Call
from ondeck_server.rpc.explanations import explanation
from ondeck_server.rpc.streaming import answer_in_order


class PredictionHandlers:
    """Answers predictions; one method for each rpc."""

    def __init__(self, predictor: Predictor, max_message_bytes: int, rates: Rates) -> None:
        self._predictor = predictor
        self._max_message_bytes = max_message_bytes
        self._rates = rates

    async def predict(self, call: Call, request: PredictRequest) -> PredictResponse:
        """Answer one instance."""
        chosen = self._predictor.choose(convert.wanted(request.model))
        task = chosen.version.task
        instance = convert.instance_of(request, task)
        self._rates.admit(call, len(instance))
        answer = await self._predictor.predict(chosen, instance, path=task.instance.path, rows_named=False)
        return PredictResponse(prediction=answers.prediction(answer))

    async def batch_predict(self, call: Call, request: BatchPredictRequest) -> BatchPredictResponse:
        """Answer many instances, all or none."""
        chosen = self._predictor.choose(convert.wanted(request.model))
        task = chosen.version.task
        instances = convert.columns_of(request, task, answers.most_rows(task, self._max_message_bytes))
        self._rates.admit(call, len(instances))
        answer = await self._predictor.predict(chosen, instances, path=task.instance.columns_path, rows_named=True)
        return answers.batch(answer)

    def stream_predict(
        self, call: Call, requests: AsyncIterator[StreamPredictRequest]
    ) -> AsyncIterator[StreamPredictResponse]:
        """Answer instances as they come, in their order."""
        return answer_in_order(self._predictor, requests, call, self._rates)

    async def explain(self, call: Call, request: ExplainRequest) -> ExplainResponse:
        """Tell how much each field moved the probability of an outcome."""
        chosen = self._predictor.choose(convert.wanted(request.model))
        instance = convert.instance_of(request, chosen.version.task)
        self._rates.admit(call, len(instance))
        return explanation(await explain(self._predictor, chosen, instance, request.outcome))
