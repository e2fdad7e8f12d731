"""The repository and what its versions did, in this protocol's words."""

from typing import Final

from inference.grpc_service_pb2 import (
    InferStatistics,
    ModelStatistics,
    RepositoryIndexResponse,
    RepositoryModelLoadRequest,
    RepositoryModelUnloadRequest,
    StatisticDuration,
)
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_server.batching.batcher import InferenceStats
from ondeck_server.models.catalog import VersionInfo

READY: Final = "READY"
_STATES: Final = {"LOADED": READY, "LOADING": "LOADING", "UNLOADING": "UNLOADING"}
_TAKEN: Final = frozenset({"unload_dependents"})
_OVERRIDE: Final = "a version is what was published: neither its configuration nor its files can be given"


def index_entry(version: VersionInfo) -> RepositoryIndexResponse.ModelIndex:
    """Write one version and its state."""
    state = _STATES.get(version.state.name, "UNAVAILABLE")
    reason = "" if state == READY else version.reason or "not loaded"
    return RepositoryIndexResponse.ModelIndex(
        name=version.model, version=str(version.number), state=state, reason=reason
    )


def check_repository(name: str) -> None:
    """See that no other repository is meant.

    Raises:
        InvalidInstanceError: one is.
    """
    if name:
        raise InvalidInstanceError([Violation("repository_name", "must be empty: there is one repository")])


def model_to_move(request: RepositoryModelLoadRequest | RepositoryModelUnloadRequest) -> str:
    """Read which model is to be loaded or let go of.

    Raises:
        InvalidInstanceError: none is named, another repository is meant, or a parameter cannot be taken.
    """
    check_repository(request.repository_name)
    refused = [Violation(f"parameters.{name}", _OVERRIDE) for name in sorted(request.parameters) if name not in _TAKEN]
    if not request.model_name:
        refused.append(Violation("model_name", "is required"))
    if refused:
        raise InvalidInstanceError(refused)
    return request.model_name


def statistics(version: VersionInfo, tally: InferenceStats) -> ModelStatistics:
    """Write what a version did."""

    def ran(nanoseconds: int) -> StatisticDuration:
        return StatisticDuration(count=tally.ran, ns=nanoseconds)

    return ModelStatistics(
        name=version.model,
        version=str(version.number),
        last_inference=tally.last,
        inference_count=tally.rows,
        execution_count=tally.runs,
        inference_stats=InferStatistics(
            success=StatisticDuration(count=tally.succeeded, ns=tally.success),
            fail=StatisticDuration(count=tally.failed, ns=tally.fail),
            queue=ran(tally.queue),
            compute_input=ran(tally.compute_input),
            compute_infer=ran(tally.compute_infer),
            compute_output=ran(tally.compute_output),
            cache_hit=StatisticDuration(),
            cache_miss=StatisticDuration(),
        ),
    )
