"""What an artifact claims, and the names of what lies in its folder.

`<repository>/<model>/<version>/` holds `model.onnx`, `golden.json`, `background.json`, `profile.json`,
`evaluation.json`, `parity.json`, `card.md` with `reliability.svg` and, written last, `manifest.json`, which names the
others with their SHA-256. A graph that no task of ours knows has `model.onnx`, `golden.json` and `manifest.json` alone.
`<repository>/<model>/aliases.json` stands beside the versions.
"""

from datetime import date, datetime
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MODEL_FILE: Final = "model.onnx"
GOLDEN_FILE: Final = "golden.json"
BACKGROUND_FILE: Final = "background.json"
PROFILE_FILE: Final = "profile.json"
RELIABILITY_FILE: Final = "reliability.svg"
EVALUATION_FILE: Final = "evaluation.json"
PARITY_FILE: Final = "parity.json"
CARD_FILE: Final = "card.md"
MANIFEST_FILE: Final = "manifest.json"
ALIASES_FILE: Final = "aliases.json"
MANIFEST_FORMAT: Final = 2
PRODUCTION: Final = "production"
INPUT: Final = "features"
OUTPUT: Final = "probabilities"
MEMBERS: Final = "members"
FP32: Final = "FP32"

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
    """What the served graph was fitted and calibrated on; `data_fingerprint` is of those very rows.

    `outcome_shares` are those of the fitted rows: the constant that a judgement compares with.
    """

    fit_window: Window
    calibration_window: Window
    rows: int
    outcome_shares: tuple[float, ...]
    data_fingerprint: Digest
    seed: int


class PredictionSets(Claim):
    """What an outcome's probability must reach, outcome by outcome, to belong to a set of this coverage."""

    coverage: float
    thresholds: tuple[float, ...]


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
    """Instances (NaN as None) that stand for what is usual, for explanations to start from; none was ever played."""

    fields: tuple[str, ...]
    instances: Annotated[tuple[tuple[float | None, ...], ...], Field(min_length=2)]


class FieldProfile(Claim):
    """What a field was like in training: ten equally filled bins by their inner edges, and the share absent.

    A field of codes has the codes themselves as edges. `shares` are of the bins, the last of what is absent.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


class Profile(Claim):
    """What the rows were like that a version was fitted on, field by field of the instance."""

    fields: dict[str, FieldProfile]


class Tensor(Claim):
    """One tensor that a graph takes or gives: its type as the Open Inference Protocol names it, -1 for the rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Manifest(Claim):
    """What a version claims. `files` maps each file of the folder, but this one, to its SHA-256.

    `recalibrated_from` names the version whose members it has, with a last layer of its own.
    """

    format: Literal[2] = MANIFEST_FORMAT
    model: Name
    version: int = Field(ge=1)
    task: Name
    feature_set: str
    feature_fingerprint: Digest
    feature_names: tuple[str, ...]
    outcomes: tuple[str, ...]
    training: Training
    recalibrated_from: int | None = None
    members: dict[str, float]
    prediction_sets: tuple[PredictionSets, ...]
    libraries: dict[str, str]
    opset: int
    ir_version: int
    created: datetime
    files: dict[str, Digest]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph: what `answered_by` names."""
        return self.files[MODEL_FILE]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the graph takes."""
        return (Tensor(name=INPUT, datatype=FP32, shape=(-1, len(self.feature_names))),)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What the graph gives: `probabilities`, and what each member says."""
        outcomes, members = len(self.outcomes), len(self.members)
        return (
            Tensor(name=OUTPUT, datatype=FP32, shape=(-1, outcomes)),
            Tensor(name=MEMBERS, datatype=FP32, shape=(-1, members, outcomes)),
        )


class GraphManifest(Claim):
    """What a version claims that is a graph and no more: no task of ours knows it, so only tensors can be asked of it.

    It takes one FP32 tensor of shape [-1, n], NaN allowed; `outputs` are those that are served, `probabilities` first
    where there is one. `files` maps each file of the folder, but this one, to its SHA-256.
    """

    format: Literal[2] = MANIFEST_FORMAT
    kind: Literal["graph"] = "graph"
    model: Name
    version: int = Field(ge=1)
    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1)]
    libraries: dict[str, str]
    created: datetime
    files: dict[str, Digest]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph."""
        return self.files[MODEL_FILE]


class GraphGolden(Claim):
    """Made-up rows with the answers that the graph itself gave when it was added: one flat row of each output for each.

    They show that the graph answers wherever it is loaded as it did then, and nothing about whether it is right.
    """

    answers: Literal["the graph's own"] = "the graph's own"
    tolerance: float
    rows: tuple[tuple[float, ...], ...]
    outputs: dict[str, tuple[tuple[float | None, ...], ...]]


class Aliases(Claim):
    """Names that point to versions of one model."""

    aliases: dict[Name, int]
