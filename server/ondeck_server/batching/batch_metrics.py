"""The metrics that a batcher writes; labels are the model and version."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ondeck_runtime.metrics import Counter, Histogram, HistogramFamily

_LABELS: Final = ("model", "version")
QUEUE_SECONDS: Final = HistogramFamily("ondeck_queue_seconds", "seconds that a request waits for its run", _LABELS)
RUN_SECONDS: Final = HistogramFamily("ondeck_run_seconds", "seconds of a run, with the features of a task", _LABELS)
FEATURE_SECONDS: Final = HistogramFamily("ondeck_feature_seconds", "seconds of a run that its features take", _LABELS)
BATCH_ROWS: Final = HistogramFamily(
    "ondeck_batch_rows", "rows of a run", _LABELS, (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
)


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchMetrics:
    """The series of one version.

    A run may use a thread: it appends to `feature_seconds`, which the event loop empties.
    """

    queue: Histogram
    run: Histogram
    features: Histogram
    rows: Histogram
    predicted_rows: Counter
    feature_seconds: deque[float] = field(default_factory=deque)
