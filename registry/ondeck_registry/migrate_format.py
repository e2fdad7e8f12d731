"""Migration of a model repository from format 1 to format 2: keys of files are renamed, values and graphs are kept."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from ondeck_core.evaluation import EVALUATION_FORMAT
from ondeck_core.manifest import EVALUATION_FILE, MANIFEST_FILE, MANIFEST_FORMAT
from ondeck_registry import atomic_files
from ondeck_registry.alias_log import ALIAS_LOG_FILE, ALIAS_LOG_FORMAT, PENDING_FILE
from ondeck_registry.repository import read_repository

_ORIGINAL: Final = ".evaluation.format1.json"  # kept until the manifest is migrated
_EVALUATION: Final = {
    "fitted": "fit_window",
    "calibrated": "calibration_window",
    "judged": "evaluation_window",
    "served_fit": "is_serving_fit",
    "fitted_days": "has_training_days",
    "anchors": "baselines",
    "shift": "drift",
}
_COVERAGE: Final = {"stated": "nominal", "held": "empirical"}
_ABLATION: Final = {"alone": "log_loss_alone", "adds": "log_loss_increase"}
_BIN: Final = {"happened": "observed"}
_TRAINING: Final = {"fitted": "fit_window", "calibrated": "calibration_window"}
_ALIAS_CHANGE: Final = {
    "when": "moved_at",
    "who": "actor",
    "from": "from_version",
    "to": "to_version",
    "why": "reason",
}


def migrate_repository(models: Path) -> list[str]:
    """Bring every version and alias log to the present format; return the names of what was changed.

    Files of the present format are left alone, so an interrupted migration can be run again.

    Raises:
        ArtifactRefusedError: the repository cannot be read.
        RepositoryLockedError: the folder of a model cannot be written now.
    """
    changed = []
    for entry in read_repository(models):
        folder = models / entry.model
        with atomic_files.exclusive_lock(folder):
            changed += [f"{entry.model} {each}" for each in entry.versions if _migrate_version(folder / str(each))]
            changed += [
                f"{entry.model} {name}" for name in (ALIAS_LOG_FILE, PENDING_FILE) if _migrate_log(folder / name)
            ]
    return changed


def migrate_evaluation(old: Mapping[str, Any]) -> dict[str, Any]:
    """Rename the keys of an evaluation of format 1 and add the format number."""
    new = {"format": EVALUATION_FORMAT, **_renamed(old, _EVALUATION)}
    new["prediction_sets"] = [_renamed(each, _COVERAGE) for each in new.get("prediction_sets", [])]
    if "ablation" in new:
        new["ablation"] = [_renamed(each, _ABLATION) for each in new["ablation"]]
    reliability = new.get("reliability", {})
    new["reliability"] = {name: [_renamed(each, _BIN) for each in bins] for name, bins in reliability.items()}
    return new


def _migrate_version(folder: Path) -> bool:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return False
    manifest: dict[str, Any] = json.loads(path.read_bytes())
    files, original = manifest["files"], folder / _ORIGINAL
    published = _published_evaluation(folder, files.get(EVALUATION_FILE))
    evaluation = {"format": EVALUATION_FORMAT} if published is None else json.loads(published)
    if manifest.get("format", 1) == MANIFEST_FORMAT and "format" in evaluation:
        return False
    if published is not None and "format" not in evaluation:  # one that was edited after publication is not signed
        atomic_files.replace(original, published)
        content = (json.dumps(migrate_evaluation(evaluation), indent=1) + "\n").encode()
        atomic_files.replace(folder / EVALUATION_FILE, content)
        files[EVALUATION_FILE] = hashlib.sha256(content).hexdigest()
    manifest["format"] = MANIFEST_FORMAT
    if "training" in manifest:
        manifest["training"] = _renamed(manifest["training"], _TRAINING)
    atomic_files.replace(path, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
    original.unlink(missing_ok=True)
    return True


def _published_evaluation(folder: Path, digest: str | None) -> bytes | None:
    """Read the evaluation with the digest of the manifest; after an interrupted migration it is the kept original."""
    found = [(folder / name).read_bytes() for name in (EVALUATION_FILE, _ORIGINAL) if (folder / name).is_file()]
    return next((content for content in found if hashlib.sha256(content).hexdigest() == digest), None)


def _migrate_log(path: Path) -> bool:
    if not path.is_file():
        return False
    lines = [json.loads(line) for line in path.read_bytes().splitlines() if line]
    if all(each.get("format", 1) == ALIAS_LOG_FORMAT for each in lines):
        return False
    migrated = [
        each if "format" in each else {"id": each["id"], "format": ALIAS_LOG_FORMAT, **_renamed(each, _ALIAS_CHANGE)}
        for each in lines
    ]
    text = "".join(json.dumps(each, separators=(",", ":"), ensure_ascii=False) + "\n" for each in migrated)
    atomic_files.replace(path, text.encode())
    return True


def _renamed(old: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(key, key): value for key, value in old.items()}
