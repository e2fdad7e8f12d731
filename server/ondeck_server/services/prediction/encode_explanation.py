"""Explanations as a caller gets them."""

from ondeck.v1 import prediction_service_pb2 as messages
from ondeck_server.inference.explainer import Contribution, Explanation
from ondeck_server.services.prediction import encode


def explanation(explained: Explanation) -> messages.ExplainResponse:
    """Write an explanation."""
    return messages.ExplainResponse(
        prediction=encode.prediction(explained.prediction),
        outcome=explained.outcome,
        base_rate=explained.base_rate,
        probability=explained.probability,
        contributions=[_contribution(each) for each in explained.contributions],
        exact=explained.exact,
        background_rows=explained.background_rows,
    )


def _contribution(each: Contribution) -> messages.Contribution:
    return messages.Contribution(
        field=each.field,
        contribution=each.contribution,
        standard_error=each.standard_error,
        value=each.value,
    )
