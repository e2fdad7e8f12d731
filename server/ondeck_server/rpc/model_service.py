"""The handlers of `ondeck.v1.ModelService`."""

from typing import Final

from ondeck.v1.model_service_pb2 import (
    DayWindow,
    Feature,
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelEvaluation,
    ModelScore,
    ModelState,
)
from ondeck_core.judgement import Evaluation, Score, scores
from ondeck_core.manifest import Manifest, Window
from ondeck_core.tasks import TASKS
from ondeck_server.models.catalog import Version
from ondeck_server.models.manager import Models
from ondeck_server.models.policy import State
from ondeck_server.rpc import convert
from ondeck_server.rpc.call import Call

_STATES: Final = {
    State.PRESENT: ModelState.MODEL_STATE_PRESENT,
    State.LOADED: ModelState.MODEL_STATE_LOADED,
    State.REFUSED: ModelState.MODEL_STATE_REFUSED,
    State.LOADING: ModelState.MODEL_STATE_LOADING,
    State.UNLOADING: ModelState.MODEL_STATE_UNLOADING,
}


class ModelHandlers:
    """Tells about models; one method for each rpc."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def list_models(self, _: Call, __: ListModelsRequest) -> ListModelsResponse:
        """List every version of every model."""
        return ListModelsResponse(models=[model(each) for each in self._models.versions.values()])

    async def get_model(self, _: Call, request: GetModelRequest) -> GetModelResponse:
        """Tell about one version."""
        return GetModelResponse(model=model(self._models.find(convert.wanted(request.model))))


def model(version: Version) -> Model:
    """Write a version as its manifest describes it; one without a readable manifest has its name and state."""
    described = Model(
        name=version.model,
        version=version.number,
        aliases=version.aliases,
        wanted_aliases=version.wanted_aliases,
        state=_STATES[version.state],
        state_reason=version.reason,
    )
    if version.manifest is not None:
        described.MergeFrom(_claims(version.manifest))
    if version.evaluation is not None:
        described.evaluation.CopyFrom(_evaluation(version.evaluation))
    return described


def _claims(manifest: Manifest) -> Model:
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
            first_day=str(manifest.training.fitted.first_day), last_day=str(manifest.training.calibrated.last_day)
        ),
        training_rows=manifest.training.rows,
    )


def _evaluation(evaluation: Evaluation) -> ModelEvaluation:
    learned = Window(first_day=evaluation.fitted.first_day, last_day=evaluation.calibrated.last_day)
    return ModelEvaluation(
        fitted=_window(learned),
        judged=_window(evaluation.judged),
        rows=evaluation.rows,
        served_fit=evaluation.served_fit,
        scores=[_score(each) for each in scores(evaluation)],
    )


def _window(window: Window) -> DayWindow:
    return DayWindow(first_day=str(window.first_day), last_day=str(window.last_day))


def _score(score: Score) -> ModelScore:
    return ModelScore(**score.model_dump(exclude_none=True))
