"""ONNX graphs of small scikit-learn models, as skl2onnx writes them."""

from functools import cache
from typing import Any, Final

import numpy as np
from skl2onnx import to_onnx
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

COLUMNS: Final = 6
ROWS: Final = 400
CLASSES: Final = {"boosting_of_3": 3, "logistic_of_3": 3, "forest_of_3": 3}
MODELS: Final = (
    "boosting",
    "forest",
    "logistic",
    "vote",
    "calibrated_forest",
    "calibrated_logistic",
    *CLASSES,
)


@cache
def fitted_graph(name: str, shift: float = 0.0, *, zipmap: bool = False) -> bytes:
    """Fit a model of `MODELS` to generated rows, `shift` away from zero, and convert it."""
    rows, classes = make_classification(
        ROWS, COLUMNS, n_informative=COLUMNS - 1, n_redundant=0, n_classes=CLASSES.get(name, 2), random_state=3
    )
    shifted = (rows + shift).astype(np.float32)
    if not shift and "logistic" not in name and name != "vote":
        shifted = np.where(np.random.default_rng(4).random(shifted.shape) < 0.1, np.float32(np.nan), shifted)
    model = _model(name).fit(shifted, classes)
    graph: bytes = to_onnx(
        model, shifted[:1], options={"zipmap": zipmap}, target_opset={"": 18, "ai.onnx.ml": 3}
    ).SerializeToString()
    return graph


def _model(name: str) -> Any:
    boosting = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=8, early_stopping=False, random_state=0)
    forest = RandomForestClassifier(9, max_depth=4, random_state=0)
    logistic = make_pipeline(StandardScaler(), LogisticRegression())
    return {
        "boosting": boosting,
        "boosting_of_3": boosting,
        "forest": forest,
        "forest_of_3": forest,
        "logistic": logistic,
        "logistic_of_3": logistic,
        "vote": VotingClassifier(
            [("boosting", boosting), ("forest", forest), ("logistic", logistic)], voting="soft", flatten_transform=False
        ),
        "calibrated_forest": CalibratedClassifierCV(forest, cv=2),
        "calibrated_logistic": CalibratedClassifierCV(LogisticRegression(), cv=2),
    }[name]
