"""Counters of a version, which the batcher and the Open Inference Protocol write and ModelStatistics returns."""

from dataclasses import dataclass


@dataclass(slots=True)
class InferenceStats:
    """Counters of one version since its process started, with the meaning of Triton's statistics.

    Durations are sums over calls, from `queue_ns` on over `batched_calls`. `last_inference_ms` is since 1970.
    """

    last_inference_ms: int = 0
    inference_count: int = 0  # rows
    execution_count: int = 0  # runs
    success_count: int = 0
    success_ns: int = 0
    fail_count: int = 0
    fail_ns: int = 0
    batched_calls: int = 0
    queue_ns: int = 0
    compute_input_ns: int = 0
    compute_infer_ns: int = 0
    compute_output_ns: int = 0
