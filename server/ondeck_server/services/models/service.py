"""The handlers of `ondeck.v1.ModelService`."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

from ondeck.v1.model_service_pb2 import (
    DayWindow,
    Feature,
    GetModelRequest,
    GetModelResponse,
    ListAliasChangesRequest,
    ListAliasChangesResponse,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelEvaluation,
    ModelScore,
    ModelState,
    MoveAliasRequest,
    MoveAliasResponse,
    RollbackModelRequest,
    RollbackModelResponse,
)
from ondeck_core.evaluation import Evaluation, Score, scores
from ondeck_core.manifest import GraphManifest, Manifest, Window
from ondeck_core.model_name_normalization import canonical
from ondeck_core.tasks import TASKS
from ondeck_registry import promotion
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import VersionState
from ondeck_server.models.version_resolution import VersionInfo
from ondeck_server.rpc.context import CallContext
from ondeck_server.security.operators import OperatorList
from ondeck_server.services.models import alias_changes
from ondeck_server.services.prediction import decode

_STATES: Final = {state: ModelState.Value(f"MODEL_STATE_{state.name}") for state in VersionState}

_MAX_WRITERS: Final = 8
_MAX_READERS: Final = 4
P = ParamSpec("P")
T = TypeVar("T")


class ModelService:
    """One method for each rpc."""

    def __init__(self, models: ModelManager, operators: OperatorList) -> None:
        self._models = models
        self._repository = models.repository.folder
        self._operators = operators
        self._writers = ThreadPoolExecutor(_MAX_WRITERS, thread_name_prefix="alias-changes")
        self._readers = ThreadPoolExecutor(_MAX_READERS, thread_name_prefix="alias-log")

    async def list_models(self, _: CallContext, __: ListModelsRequest) -> ListModelsResponse:
        """Return every version of every model; a model of which a part is set aside has one more entry, version 0."""
        messages = [model_message(each) for each in self._models.versions.values()]
        messages += [
            Model(name=model, state=ModelState.MODEL_STATE_REFUSED, state_reason=reason)
            for model, reason in self._models.faults().items()
        ]
        return ListModelsResponse(models=sorted(messages, key=lambda each: (each.name, each.version)))

    async def get_model(self, _: CallContext, request: GetModelRequest) -> GetModelResponse:
        """Return one version."""
        return GetModelResponse(model=model_message(self._models.find(decode.model_ref(request.model))))

    async def move_alias(self, call: CallContext, request: MoveAliasRequest) -> MoveAliasResponse:
        """Point an alias to a version, if the promotion gate permits."""
        self._operators.authorize(call)
        alias_changes.check(request)
        decision = alias_changes.decision_of(call, request.reason, forced=request.force)
        name, alias = canonical(request.model), alias_changes.alias_of(request)
        change = await _run(self._writers, promotion.promote, self._repository, name, alias, request.version, decision)
        return MoveAliasResponse(change=None if change is None else alias_changes.alias_change_message(change))

    async def rollback_model(self, call: CallContext, request: RollbackModelRequest) -> RollbackModelResponse:
        """Point an alias to its previous version."""
        self._operators.authorize(call)
        alias_changes.check(request)
        decision = alias_changes.decision_of(call, request.reason)
        name, alias = canonical(request.model), alias_changes.alias_of(request)
        change = await _run(self._writers, promotion.roll_back, self._repository, name, alias, decision)
        return RollbackModelResponse(change=alias_changes.alias_change_message(change))

    async def list_alias_changes(self, _: CallContext, request: ListAliasChangesRequest) -> ListAliasChangesResponse:
        """Return a page of the alias log of a model."""
        alias_changes.check(request)
        changes = await _run(self._readers, promotion.alias_changes, self._repository, canonical(request.model))
        return alias_changes.page(changes, request)


def model_message(version: VersionInfo) -> Model:
    """Return a version as a message; without a readable manifest only name, number, aliases and state."""
    message = Model(
        name=version.model,
        version=version.number,
        aliases=version.aliases,
        desired_aliases=version.desired_aliases,
        state=_STATES[version.state],
        state_reason=version.reason,
    )
    try:
        if version.manifest is not None:
            message.MergeFrom(_manifest_fields(version.manifest))
        if version.evaluation is not None:
            message.evaluation.CopyFrom(_evaluation(version.evaluation))
    except ValueError as invalid:  # a number beyond the field of the message
        message.state_reason = message.state_reason or f"its manifest does not fit into the response: {invalid}"
    return message


def _manifest_fields(manifest: Manifest | GraphManifest) -> Model:
    if isinstance(manifest, GraphManifest):
        return Model(digest=manifest.digest)
    task = TASKS.get(manifest.task)
    features = task.features.features if task else ()
    return Model(
        digest=manifest.digest,
        task=manifest.task,
        instance=task.instance.message if task else "",
        outcomes=manifest.outcomes,
        feature_set=manifest.feature_set,
        features=[Feature(name=each.name, unit=each.unit, description=each.description) for each in features],
        training_window=DayWindow(
            first_day=str(manifest.training.fit_window.first_day),
            last_day=str(manifest.training.calibration_window.last_day),
        ),
        training_rows=manifest.training.rows,
    )


async def _run(threads: Executor, function: Callable[P, T], *arguments: P.args, **more: P.kwargs) -> T:
    """Run a function in a pool of its own: it may wait for a lock, or for a file system that does not answer.

    The default pool would keep a worker from exiting until every such function has returned.
    """
    return await asyncio.get_running_loop().run_in_executor(threads, partial(function, *arguments, **more))


def _evaluation(evaluation: Evaluation) -> ModelEvaluation:
    training = Window(first_day=evaluation.fit_window.first_day, last_day=evaluation.calibration_window.last_day)
    return ModelEvaluation(
        training_window=_window(training),
        evaluation_window=_window(evaluation.evaluation_window),
        rows=evaluation.rows,
        is_serving_fit=evaluation.is_serving_fit,
        scores=[_score(each) for each in scores(evaluation)],
    )


def _window(window: Window) -> DayWindow:
    return DayWindow(first_day=str(window.first_day), last_day=str(window.last_day))


def _score(score: Score) -> ModelScore:
    return ModelScore(**score.model_dump(exclude_none=True))
