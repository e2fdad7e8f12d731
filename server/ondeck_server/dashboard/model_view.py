"""Reads the view "models": the evaluation of each served version, from its files in the repository."""

from pathlib import Path
from typing import Any, Final

from ondeck_core.errors import ArtifactRefusedError, printable
from ondeck_core.evaluation import Evaluation, scores
from ondeck_core.manifest import CARD_FILE, Manifest
from ondeck_registry.file_reader import read_file
from ondeck_registry.repository import read_any_manifest, read_evaluation

MAX_CARD_BYTES: Final = 1 << 18
_SLICE_ROWS: Final = 200  # a slice of fewer rows says little


def read_models(repository: Path, versions: list[tuple[str, int]]) -> dict[str, Any]:
    """Return the values of the view as JSON values; a version that cannot be read has the reason as `unreadable`."""
    return {"versions": [_read_version(repository / model / str(number), model, number) for model, number in versions]}


def _read_version(folder: Path, model: str, number: int) -> dict[str, Any]:
    named = {"model": model, "version": number}
    try:
        manifest = read_any_manifest(folder, model, number)
        if not isinstance(manifest, Manifest):
            return {**named, "unreadable": "an imported graph has no evaluation"}
        evaluation = read_evaluation(folder)
        card = read_file(folder / CARD_FILE, MAX_CARD_BYTES).decode(errors="replace")
    except ArtifactRefusedError as refused:
        return {**named, "unreadable": printable(str(refused))}
    return {
        **named,
        "task": manifest.task,
        "created": manifest.created.isoformat(),
        "fit_days": str(manifest.training.fit_window),
        "fit_rows": manifest.training.rows,
        "card": card,
        **evaluation_values(evaluation),
    }


def evaluation_values(evaluation: Evaluation) -> dict[str, Any]:
    """Return what the view shows of an evaluation."""
    slices = [each for each in evaluation.slices if each.rows >= _SLICE_ROWS]
    return {
        "evaluation_days": evaluation.described_window,
        "rows": evaluation.rows,
        "games": evaluation.games,
        "is_serving_fit": evaluation.is_serving_fit,
        "scores": [each.model_dump() for each in scores(evaluation)],
        "intervals": {name: [each.low, each.high] for name, each in evaluation.intervals.items()},
        "prediction_sets": [each.model_dump(exclude={"by_outcome"}) for each in evaluation.prediction_sets],
        "reliability": {
            outcome: [[each.rows, each.predicted, each.observed] for each in bins]
            for outcome, bins in evaluation.reliability.items()
        },
        "slices": [each.model_dump() for each in slices],
    }
