"""The metrics file of a training run."""

import re
import time
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ondeck_trainer.run_metrics import run_metrics
from tools.fill_document_tables import declared_metrics, exported_name


def values(folder: Path) -> dict[str, float]:
    (path,) = folder.iterdir()
    assert path.name == "ondeck_train_whiff.prom"
    found = re.findall(r'^(\w+){task="whiff"} (\S+)$', path.read_text(), re.MULTILINE)
    return {name: float(value) for name, value in found}


def test_a_run_writes_each_documented_metric(tmp_path: Path) -> None:
    with run_metrics(tmp_path, "whiff") as rows:
        rows.set(1234)
    written = values(tmp_path)
    assert (written["ondeck_train_rows"], written["ondeck_train_succeeded"]) == (1234, 1)
    assert abs(time.time() - written["ondeck_train_end_timestamp_seconds"]) < 60
    assert set(written) == {exported_name(family) for program, family in declared_metrics() if program == "trainer"}


def test_a_failed_run_replaces_the_file_of_the_one_before(tmp_path: Path) -> None:
    with run_metrics(tmp_path, "whiff"):
        pass
    with pytest.raises(ValueError, match="not better"), run_metrics(tmp_path, "whiff"):
        raise ValueError("not better")
    assert values(tmp_path)["ondeck_train_succeeded"] == 0


def test_a_missing_folder_is_logged_and_fails_nothing(tmp_path: Path) -> None:
    with capture_logs() as logged, run_metrics(tmp_path / "missing", "whiff"):
        pass
    assert [each["event"] for each in logged] == ["train_metrics_not_written"]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with run_metrics(None, "whiff"):
        pass
    assert list(tmp_path.iterdir()) == []
