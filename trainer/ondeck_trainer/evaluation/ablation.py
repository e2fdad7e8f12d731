"""What each member adds, on days later than all that weights and calibration were fitted on."""

from ondeck_core import scoring
from ondeck_core.evaluation import Ablation
from ondeck_trainer.data.dataset import Dataset
from ondeck_trainer.model.ensemble import Ensemble, combine


def ablation(ensemble: Ensemble, calibrate: Dataset, judge: Dataset) -> tuple[Ablation, ...]:
    """Judge each member alone, and the ensemble with its last layer fitted anew without it."""
    whole = _loss(ensemble, judge)
    return tuple(
        Ablation(
            member=name,
            weight=weight,
            log_loss_alone=_loss(combine({name: ensemble.members[name]}, calibrate), judge),
            log_loss_increase=_loss(_without(name, ensemble, calibrate), judge) - whole
            if len(ensemble.members) > 1
            else 0.0,
        )
        for name, weight in ensemble.weights.items()
    )


def _without(name: str, ensemble: Ensemble, calibrate: Dataset) -> Ensemble:
    return combine({each: member for each, member in ensemble.members.items() if each != name}, calibrate)


def _loss(ensemble: Ensemble, judge: Dataset) -> float:
    return scoring.log_loss(ensemble.predict(judge.features), judge.labels)
