"""What an artifact claims, and the names of what lies in its folder.

`<repository>/<model>/<version>/` holds `model.onnx`, `golden.json`, `evaluation.json`, `parity.json`, `card.md`,
`background.json` where the version can explain its answers, and, written last, `manifest.json`, which names the others
with their SHA-256. `<repository>/<model>/aliases.json` stands beside the versions.
"""

from datetime import date, datetime
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MODEL_FILE: Final = "model.onnx"
GOLDEN_FILE: Final = "golden.json"
EVALUATION_FILE: Final = "evaluation.json"
PARITY_FILE: Final = "parity.json"
CARD_FILE: Final = "card.md"
BACKGROUND_FILE: Final = "background.json"
MANIFEST_FILE: Final = "manifest.json"
ALIASES_FILE: Final = "aliases.json"
PRODUCTION: Final = "production"
INPUT: Final = "features"
OUTPUT: Final = "probabilities"

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class Claim(BaseModel):
    """Base of everything that is written beside a graph: frozen, strict about names, plain JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(Claim):
    """A span of days; both ends belong to it."""

    first_day: date
    last_day: date

    def __str__(self) -> str:
        return f"{self.first_day} to {self.last_day}"


class Training(Claim):
    """What the served graph was fitted and calibrated on; `data_fingerprint` is of those very rows."""

    fitted: Window
    calibrated: Window
    rows: int
    data_fingerprint: Digest
    seed: int


class Score(Claim):
    """How one predictor did on one question; None where the predictor gives no such thing."""

    question: str
    predictor: str
    log_loss: float | None = None
    brier: float | None = None
    ece: float | None = None
    auc: float | None = None
    accuracy: float | None = None


class ReliabilityBin(Claim):
    """Rows of like predicted probability: how many, the mean prediction, the share that happened."""

    rows: int
    predicted: float
    happened: float


class Evaluation(Claim):
    """A judgement on days later than all that was fitted or tuned on; `served_fit`: of the served graph itself."""

    task: Name
    fitted: Window
    calibrated: Window
    judged: Window
    rows: int
    served_fit: bool
    scores: tuple[Score, ...]
    reliability: dict[str, tuple[ReliabilityBin, ...]]


class Parity(Claim):
    """The graph beside scikit-learn on real rows; the worst row is given as the model's input, NaN as None."""

    rows: int
    rows_with_nan: int
    tolerance: float
    largest_difference: float
    worst_row: tuple[float | None, ...]
    worst_row_sklearn: tuple[float, ...]
    worst_row_onnx: tuple[float, ...]


class Golden(Claim):
    """Made-up instances (NaN as None) with scikit-learn's answers, to be recomputed wherever the graph is loaded."""

    tolerance: float
    fields: tuple[str, ...]
    instances: tuple[tuple[float | None, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]


class Background(Claim):
    """Usual instances (NaN as None), beside which an answer is explained; their mean prediction is the base rate."""

    fields: tuple[str, ...]
    instances: Annotated[tuple[tuple[float | None, ...], ...], Field(min_length=2)]


class Manifest(Claim):
    """What a version claims. `files` maps each file of the folder, but this one, to its SHA-256."""

    format: Literal[1] = 1
    model: Name
    version: int = Field(ge=1)
    task: Name
    feature_set: str
    feature_fingerprint: Digest
    feature_names: tuple[str, ...]
    outcomes: tuple[str, ...]
    training: Training
    members: dict[str, float]
    libraries: dict[str, str]
    opset: int
    ir_version: int
    created: datetime
    files: dict[str, Digest]

    @property
    def digest(self) -> str:
        """SHA-256 of the graph: what `answered_by` names."""
        return self.files[MODEL_FILE]


class Aliases(Claim):
    """Names that point to versions of one model."""

    aliases: dict[Name, int]
