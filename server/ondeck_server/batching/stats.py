"""What one version did since its process started."""

from dataclasses import dataclass


@dataclass(slots=True)
class InferenceStats:
    """Durations are sums over calls, in nanoseconds; `rows` of `ran` calls were answered by `runs`.

    `last` is the time of the last answer, in milliseconds since 1970.
    """

    last: int = 0
    rows: int = 0
    runs: int = 0
    ran: int = 0
    queue: int = 0
    compute_input: int = 0
    compute_infer: int = 0
    compute_output: int = 0
    succeeded: int = 0
    success: int = 0
    failed: int = 0
    fail: int = 0
