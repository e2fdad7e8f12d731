"""Versions with a valid manifest and a placeholder for the graph, for tests that do not load them."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from ondeck_core.manifest import CARD_FILE, MODEL_FILE, Manifest, Training, Window
from ondeck_registry.publication import publish

MODEL: Final = "batted_ball"
FILES: Final = {MODEL_FILE: b"graph", CARD_FILE: b"card"}
DAYS: Final = Window(first_day=date(2022, 6, 1), last_day=date(2022, 6, 30))


def sign_manifest(version: int) -> Callable[[Mapping[str, str]], Manifest]:
    def sign(digests: Mapping[str, str]) -> Manifest:
        return Manifest(
            model=MODEL,
            version=version,
            task=MODEL,
            feature_set="batted_ball/1",
            feature_fingerprint="0" * 64,
            feature_names=("launch_speed",),
            outcomes=("out",),
            training=Training(
                fit_window=DAYS,
                calibration_window=DAYS,
                rows=1,
                outcome_shares=(1.0,),
                data_fingerprint="0" * 64,
                seed=0,
            ),
            members={},
            prediction_sets=(),
            libraries={},
            opset=18,
            ir_version=8,
            created=datetime(2022, 7, 1, tzinfo=UTC),
            files=dict(digests),
        )

    return sign


def publish_stub_versions(models: Path, *numbers: int) -> None:
    for number in numbers:
        publish(models, FILES, sign_manifest(number))
