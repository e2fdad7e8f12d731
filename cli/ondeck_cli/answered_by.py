"""What gave an answer, for people."""

from ondeck_client import Prediction


def answered_by(prediction: Prediction) -> str:
    """Name what gave a prediction, in one line."""
    by = prediction.answered_by
    alias = f" ({by.alias})" if by.alias else ""
    return f"answered by {by.model}, version {by.version}{alias}, {by.digest[:12]}"
