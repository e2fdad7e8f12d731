"""Schemas and names of the files of a model version in the repository.

`<repository>/<model>/<version>/` contains `model.onnx`, `golden.json`, `background.json`, `profile.json`,
`evaluation.json`, `parity.json`, `card.md`, `reliability.svg` and `manifest.json`, which is written last and lists the
SHA-256 of every other file. An imported graph without a task has only `model.onnx`, `golden.json` and `manifest.json`.
`<repository>/<model>/aliases.json` maps aliases to versions.
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
MAX_VERSION: Final = 2**32 - 1  # the API has 32 bits for a version
MAX_FILES: Final = 64  # that a manifest may name

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
VersionNumber = Annotated[int, Field(ge=1, le=MAX_VERSION)]
Files = Annotated[dict[str, Digest], Field(max_length=MAX_FILES)]


class FrozenSchema(BaseModel):
    """Base of all JSON files of a version: immutable, unknown keys are rejected."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Window(FrozenSchema):
    """A range of days, both ends included."""

    first_day: date
    last_day: date

    def __str__(self) -> str:
        return f"{self.first_day} to {self.last_day}"


class Training(FrozenSchema):
    """Training data of the served graph.

    `data_fingerprint`: a digest of the fit and calibration rows; after a recalibration, of the calibration rows alone.
    `outcome_shares`: the outcome frequencies of the fit rows, the constant baseline of an evaluation.
    """

    fit_window: Window
    calibration_window: Window
    rows: int
    outcome_shares: tuple[float, ...]
    data_fingerprint: Digest
    seed: int


class PredictionSets(FrozenSchema):
    """Minimum probability of each outcome to belong to the prediction set of this coverage."""

    coverage: float
    thresholds: tuple[float, ...]


class Parity(FrozenSchema):
    """Comparison of the ONNX graph with scikit-learn on real rows; `worst_row` is the model input, NaN as None."""

    rows: int
    rows_with_nan: int
    tolerance: float
    largest_difference: float
    worst_row: tuple[float | None, ...]
    worst_row_sklearn: tuple[float, ...]
    worst_row_onnx: tuple[float, ...]


class Golden(FrozenSchema):
    """Synthetic instances (NaN as None) with scikit-learn's probabilities, recomputed whenever the graph is loaded."""

    tolerance: float
    fields: tuple[str, ...]
    instances: tuple[tuple[float | None, ...], ...]
    probabilities: tuple[tuple[float, ...], ...]


class Background(FrozenSchema):
    """Representative synthetic instances (NaN as None): the background of the Shapley values."""

    fields: tuple[str, ...]
    instances: Annotated[tuple[tuple[float | None, ...], ...], Field(min_length=2)]


class FieldProfile(FrozenSchema):
    """Distribution of a field in training: inner edges of ten bins of equal count, and the share of rows per bin.

    The edges of a categorical field are its codes. The last of the `shares` is the share of missing values.
    """

    edges: tuple[float, ...]
    shares: tuple[float, ...]


class Profile(FrozenSchema):
    """Distribution of every instance field in the fit rows."""

    fields: dict[str, FieldProfile]


class Tensor(FrozenSchema):
    """An input or output tensor: `datatype` as in the Open Inference Protocol, dimension -1 for the rows."""

    name: str
    datatype: str
    shape: tuple[int, ...]


class Manifest(FrozenSchema):
    """Manifest of a version. `files` maps every other file of the folder to its SHA-256.

    `recalibrated_from` is the version whose members are reused under a new calibration layer.
    """

    format: Literal[2] = MANIFEST_FORMAT
    model: Name
    version: VersionNumber
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
    files: Files

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph, as in `answered_by`."""
        return self.files[MODEL_FILE]

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """Input tensors of the graph."""
        return (Tensor(name=INPUT, datatype=FP32, shape=(-1, len(self.feature_names))),)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Output tensors of the graph: the probabilities of the ensemble and of each member."""
        outcomes, members = len(self.outcomes), len(self.members)
        return (
            Tensor(name=OUTPUT, datatype=FP32, shape=(-1, outcomes)),
            Tensor(name=MEMBERS, datatype=FP32, shape=(-1, members, outcomes)),
        )


class GraphManifest(FrozenSchema):
    """Manifest of an imported graph without a task, which accepts tensors only.

    The input is one FP32 tensor of shape [-1, n], NaN allowed. `outputs` are the served outputs, `probabilities` first
    if present. `files` maps every other file of the folder to its SHA-256.
    """

    format: Literal[2] = MANIFEST_FORMAT
    kind: Literal["graph"] = "graph"
    model: Name
    version: VersionNumber
    inputs: Annotated[tuple[Tensor, ...], Field(min_length=1, max_length=1)]
    outputs: Annotated[tuple[Tensor, ...], Field(min_length=1)]
    libraries: dict[str, str]
    created: datetime
    files: Files

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph."""
        return self.files[MODEL_FILE]


class GraphGolden(FrozenSchema):
    """Synthetic rows with the graph's own outputs at import, flattened to one row each.

    They verify that the graph computes the same outputs on every machine, not that the outputs are correct.
    """

    answers: Literal["the graph's own"] = "the graph's own"
    tolerance: float
    rows: tuple[tuple[float, ...], ...]
    outputs: dict[str, tuple[tuple[float | None, ...], ...]]


class Aliases(FrozenSchema):
    """Aliases of one model, each with its version."""

    aliases: dict[Name, VersionNumber]
