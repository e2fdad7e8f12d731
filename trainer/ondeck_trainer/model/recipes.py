"""The recipe of each task: which members, of which size. Chosen on days before the judged month.

Trees are cheap to serve by the leaf and dear by the tree; networks are cheap to serve. So the trees are few and large.
"""

from typing import Final

from ondeck_core.features.pitch import GROUPS, PITCH_FEATURES
from ondeck_trainer.model.learners import BoostingSpec, NeuralSpec, Recipe

_LONG: Final = ((2e-3, 14), (7e-4, 8), (2e-4, 6), (5e-5, 4))
_SHORT: Final = ((2e-3, 8), (7e-4, 4), (2e-4, 3), (5e-5, 2))


def _but(*groups: str) -> tuple[int, ...]:
    """Positions of the features of some groups, which a network then does not see."""
    return tuple(PITCH_FEATURES.names.index(name) for group in groups for name in GROUPS[group])


RECIPES: Final[dict[str, Recipe]] = {
    "batted_ball": {
        "boosting": BoostingSpec(rounds=200, leaves=24, rate=0.055, least_rows=60, pull=5.0, seed=1),
        "network": NeuralSpec(hidden=(96, 48), stages=_LONG, pull=0.03, seed=4),
    },
    "called_strike": {
        "boosting": BoostingSpec(rounds=240, leaves=63, rate=0.06, share=0.25, least_rows=100, pull=20.0, seed=1),
        "network": NeuralSpec(
            hidden=(128, 64), stages=_LONG, pull=0.1, blind_to=_but("release", "kind", "park", "bases"), seed=3
        ),
        "second_network": NeuralSpec(
            hidden=(128, 64), stages=_LONG, pull=0.1, blind_to=_but("release", "park", "bases"), seed=4
        ),
    },
    "whiff": {
        "boosting": BoostingSpec(rounds=260, leaves=63, rate=0.05, share=0.2, pull=20.0, seed=1),
        "network": NeuralSpec(hidden=(128, 64), stages=_LONG, pull=0.1, blind_to=_but("park"), seed=3),
        "second_network": NeuralSpec(hidden=(128, 64), stages=_SHORT, pull=0.3, blind_to=_but("park", "bases"), seed=4),
    },
    "pitch_outcome": {
        "boosting": BoostingSpec(rounds=100, leaves=31, rate=0.12, seed=1),
        "network": NeuralSpec(hidden=(256, 128), stages=_SHORT, pull=0.1, blind_to=_but("park"), seed=3),
        "second_network": NeuralSpec(hidden=(192, 96), stages=_SHORT, pull=0.05, blind_to=_but("park"), seed=4),
    },
}
