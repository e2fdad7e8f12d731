"""The recipe of each task, its members and their hyperparameters, tuned on days before the evaluation month.

Latency of trees grows with their number more than with their leaves, so recipes have few and large trees.
"""

from typing import Final

from ondeck_core.features.pitch import FEATURE_GROUPS, PITCH_FEATURES
from ondeck_trainer.model.learners import BoostingSpec, NeuralSpec, Recipe

TARGET_LOG_LOSS: Final = {"called_strike": 0.1335}  # above it, the model card refers to the list of experiments

_LONG: Final = ((2e-3, 14), (7e-4, 8), (2e-4, 6), (5e-5, 4))
_SHORT: Final = ((2e-3, 8), (7e-4, 4), (2e-4, 3), (5e-5, 2))


def _positions(*groups: str) -> tuple[int, ...]:
    """Return the positions of the features of some groups."""
    return tuple(PITCH_FEATURES.names.index(name) for group in groups for name in FEATURE_GROUPS[group])


RECIPES: Final[dict[str, Recipe]] = {
    "batted_ball": {
        "boosting": BoostingSpec(
            n_iterations=200, max_leaves=24, learning_rate=0.055, min_leaf_rows=60, l2=5.0, seed=1
        ),
        "network": NeuralSpec(hidden=(96, 48), stages=_LONG, l2=0.03, seed=4),
    },
    "called_strike": {
        "boosting": BoostingSpec(
            n_iterations=240,
            max_leaves=63,
            learning_rate=0.06,
            feature_fraction=0.25,
            min_leaf_rows=100,
            l2=20.0,
            seed=1,
        ),
        "network": NeuralSpec(
            hidden=(128, 64),
            stages=_LONG,
            l2=0.1,
            excluded_features=_positions("release", "kind", "park", "bases"),
            seed=3,
        ),
        "second_network": NeuralSpec(
            hidden=(128, 64), stages=_LONG, l2=0.1, excluded_features=_positions("release", "park", "bases"), seed=4
        ),
    },
    "whiff": {
        "boosting": BoostingSpec(
            n_iterations=260, max_leaves=63, learning_rate=0.05, feature_fraction=0.2, l2=20.0, seed=1
        ),
        "network": NeuralSpec(hidden=(128, 64), stages=_LONG, l2=0.1, excluded_features=_positions("park"), seed=3),
        "second_network": NeuralSpec(
            hidden=(128, 64), stages=_SHORT, l2=0.3, excluded_features=_positions("park", "bases"), seed=4
        ),
    },
    "pitch_outcome": {
        "boosting": BoostingSpec(n_iterations=100, max_leaves=31, learning_rate=0.12, seed=1),
        "network": NeuralSpec(hidden=(256, 128), stages=_SHORT, l2=0.1, excluded_features=_positions("park"), seed=3),
        "second_network": NeuralSpec(
            hidden=(192, 96), stages=_SHORT, l2=0.05, excluded_features=_positions("park"), seed=4
        ),
    },
}
