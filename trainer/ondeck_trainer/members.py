"""The unlike learners that vote. NaN is routed by the boosted trees themselves; the others impute first."""

from dataclasses import dataclass
from typing import Any

from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Sizes of the members; the shipped models use the defaults, tests smaller ones."""

    deep_rounds: int = 250
    shallow_rounds: int = 400
    epochs: int = 60
    hidden: tuple[int, ...] = (128, 64)


def unfitted_members(recipe: Recipe, seed: int) -> dict[str, Any]:
    """Make the members by name, ready to be fitted on float32 features of shape (n, features)."""
    return {
        "deep_boosting": HistGradientBoostingClassifier(
            max_iter=recipe.deep_rounds,
            learning_rate=0.05,
            max_features=0.5,
            max_leaf_nodes=24,
            min_samples_leaf=60,
            l2_regularization=5.0,
            early_stopping=False,  # its own validation rows would be drawn at random, not by date
            random_state=seed,
        ),
        "shallow_boosting": HistGradientBoostingClassifier(
            max_iter=recipe.shallow_rounds,
            learning_rate=0.06,
            max_features=0.5,
            max_leaf_nodes=8,
            min_samples_leaf=40,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=seed + 1,
        ),
        "neural": make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            StandardScaler(),
            MLPClassifier(
                recipe.hidden,
                alpha=1e-3,
                batch_size=512,
                learning_rate_init=2e-3,
                max_iter=recipe.epochs,
                tol=0.0,
                n_iter_no_change=recipe.epochs,
                random_state=seed + 2,
            ),
        ),
    }
