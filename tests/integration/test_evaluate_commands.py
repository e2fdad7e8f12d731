"""`ondeck evaluate`, `ondeck recalibrate` and `ondeck models compare`, on files without a database."""

import json
import shutil
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from structlog.testing import capture_logs
from threadpoolctl import threadpool_limits

from ondeck_cli.models.aliases import promote
from ondeck_cli.models.compare import compare_
from ondeck_core import scoring
from ondeck_core.errors import ArtifactRefusedError, NotFoundError, SourceRefusedError
from ondeck_core.evaluation import Evaluation, RowAccount
from ondeck_core.manifest import PRODUCTION
from ondeck_core.tasks import TASKS
from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_registry.promotion import GateFailedError
from ondeck_registry.repository import aliases, read_evaluation
from ondeck_runtime.logging import configure_logging
from ondeck_trainer.artifact.published_model import open_version
from ondeck_trainer.cli.evaluate import evaluate, recalibrate
from ondeck_trainer.data.dataset import NoTaskRowsError, build_dataset
from ondeck_trainer.data.source import NoStoredRowsError, read_statcast_files
from ondeck_trainer.evaluation.published_versions import NoUnseenDaysError
from ondeck_trainer.recalibrate import OverlappingDaysError, TooFewRowsError
from tests.factories.sibling_versions import publish_sibling
from tests.factories.statcast_rows import as_csv, sample_cells

FIGURES = ("log_loss", "brier", "ece", "auc", "accuracy", "rows")
DECISION = AliasDecision(actor="a test", reason="a test", at=datetime(2022, 10, 1, tzinfo=UTC), forced=True)


@pytest.fixture(scope="module")
def later_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write sample days after the fit window of the small models."""
    folder = tmp_path_factory.mktemp("later")
    for half, first in enumerate((date(2022, 9, 1), date(2022, 9, 8))):
        (folder / f"half{half}.csv").write_bytes(as_csv(sample_cells(first, days=7, games=3, seed=5)))
    return folder


@pytest.fixture
def models(small_repository: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small_repository, tmp_path / "models"))


@pytest.fixture(autouse=True)
def no_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONDECK_HOME", str(tmp_path / "home"))
    configure_logging("info", "text")  # to standard error, as the command line does


def run(command: object, *words: str | Path) -> Result:
    with threadpool_limits(1):
        return CliRunner().invoke(command, list(map(str, words)))  # type: ignore[arg-type]  # a click command


@pytest.mark.parametrize("name", TASKS)
def test_a_version_is_evaluated_on_files_with_every_figure_at_the_top(
    models: Path, later_days: Path, name: str
) -> None:
    done = run(evaluate, name.replace("_", "-"), later_days, "--model-repository", models, "--json")
    assert done.exit_code == 0, done.exception
    report = json.loads(done.stdout)
    required = (*FIGURES, *(("hit_log_loss", "hit_accuracy") if name == "batted_ball" else ()))
    assert {figure for figure in required if not isinstance(report[figure], float | int)} == set()
    assert report["baselines"]["constant"]["log_loss"] > 0
    assert (report["version"], report["is_serving_fit"], report["has_training_days"]) == (1, True, False)
    assert {each["by"] for each in report["slices"]} >= {"month", "park", "count"}
    assert [each["nominal"] for each in report["prediction_sets"]] == [0.8, 0.9]
    assert report["intervals"]["log_loss"]["low"] <= report["log_loss"] <= report["intervals"]["log_loss"]["high"]
    assert report["intervals"]["ece"]["high"] > 0


def test_the_metrics_are_those_of_the_served_graph_on_those_rows(models: Path, later_days: Path) -> None:
    report = json.loads(run(evaluate, "whiff", later_days, "--model-repository", models, "--json").stdout)
    rows = build_dataset(TASKS["whiff"], read_statcast_files([later_days], TASKS["whiff"]).rows)
    labels, given = rows.labels, open_version(models, TASKS["whiff"]).graph.probabilities(rows.features)
    assert report["rows"] == len(labels)
    assert report["log_loss"] == pytest.approx(-np.log(given[np.arange(len(labels)), labels]).mean(), rel=1e-6)


def test_the_report_is_written_with_its_plot_and_the_drift(models: Path, later_days: Path, tmp_path: Path) -> None:
    done = run(evaluate, "batted_ball", later_days, "--model-repository", models)
    folder = tmp_path / "home" / "evaluations" / "batted_ball" / "1" / "2022-09-01_2022-09-14"
    assert f"written to {folder}" in done.stdout
    written = Evaluation.model_validate_json((folder / "evaluation.json").read_bytes())
    assert f"{written.log_loss:.4f}" in done.stdout
    card = (folder / "card.md").read_text()
    assert "![Predicted probability and observed frequency](reliability.svg)" in card
    assert "| `launch_speed` |" in card
    assert (folder / "reliability.svg").read_text().startswith("<?xml")


def test_days_of_the_fit_window_are_left_out_or_flagged(models: Path, tmp_path: Path) -> None:
    fitted = tmp_path / "fitted.csv"
    fitted.write_bytes(as_csv(sample_cells(date(2022, 8, 29), days=7, games=3, seed=5)))
    report = json.loads(run(evaluate, "whiff", fitted, "--model-repository", models, "--json").stdout)
    assert report["evaluation_window"]["first_day"] == "2022-09-01"
    all_of_them = run(evaluate, "whiff", fitted, "--model-repository", models, "--json", "--include-fitted")
    flagged = json.loads(all_of_them.stdout)
    assert (flagged["evaluation_window"]["first_day"], flagged["has_training_days"]) == ("2022-08-29", True)
    assert flagged["rows"] > report["rows"]
    none = run(evaluate, "whiff", fitted, "--model-repository", models, "--until", "2022-08-31")
    assert isinstance(none.exception, NoUnseenDaysError)
    assert "--include-fitted" in str(none.exception)


def test_an_impossible_evaluation_is_refused_with_a_reason(models: Path, later_days: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.csv"
    page.write_text("<html><body>busy</body></html>")
    refused = run(evaluate, "whiff", page, "--model-repository", models).exception
    assert isinstance(refused, SourceRefusedError)
    assert "page.csv: it is an HTML page" in str(refused)
    spring = tmp_path / "spring.csv"
    spring.write_bytes(as_csv(sample_cells(date(2022, 9, 1), days=1)).replace(b'"R"', b'"S"').replace(b",R,", b",S,"))
    assert isinstance(run(evaluate, "whiff", spring, "--model-repository", models).exception, NoStoredRowsError)
    unknown = run(evaluate, "whiff", later_days, "--model-repository", models, "--version", "9").exception
    assert isinstance(unknown, NotFoundError)
    (models / "whiff" / "1" / "profile.json").write_text("{}")
    edited = run(evaluate, "whiff", later_days, "--model-repository", models).exception
    assert isinstance(edited, ArtifactRefusedError)
    assert "profile.json is not the file that was published" in str(edited)


def test_the_report_accounts_for_every_row_that_was_read(models: Path, tmp_path: Path) -> None:
    cells = sample_cells(date(2022, 9, 5), days=2, games=3, seed=5)
    number = pl.int_range(pl.len())
    cells = cells.with_columns(
        balls=pl.when(number < 40).then(pl.lit("4")).otherwise("balls"),
        plate_x=pl.when(number.is_between(40, 59)).then(pl.lit("left")).otherwise("plate_x"),
        launch_speed_angle=pl.lit("barrel"),
        game_type=pl.when(number.is_between(60, 69)).then(pl.lit("S")).otherwise("game_type"),
        description=pl.when(number.is_between(70, 74)).then(pl.lit("Strike - New")).otherwise("description"),
    )
    (tmp_path / "rows.csv").write_bytes(as_csv(cells))
    (tmp_path / "again.csv").write_bytes(as_csv(cells.tail(30)))
    files = (tmp_path / "rows.csv", tmp_path / "again.csv")
    with capture_logs() as events:
        report = json.loads(run(evaluate, "pitch_outcome", *files, "--model-repository", models, "--json").stdout)
    account = RowAccount.model_validate(report["account"])
    assert account.read == cells.height + 30 == account.used + sum(account.left_out.values())
    assert account.used == report["rows"]
    assert account.left_out["rejected (balls: not from 0 to 3)"] == 40
    assert account.left_out["not of a regular season"] == 10
    assert account.left_out["of a pitch that an earlier file has"] == 30
    assert account.left_out["with a code that is not known in description"] == 5
    assert account.unreadable_cells == {"plate_x": 20}
    (event,) = [event for event in events if event["event"] == "rows_accounted"]
    assert event.items() >= account.model_dump().items()
    shown = run(evaluate, "pitch_outcome", *files, "--model-repository", models, "--out", tmp_path / "report").stdout
    assert f"{account.read:,} rows read: {account.used:,} used" in " ".join(shown.split())
    assert "of the rows that may be of the task were left out" in " ".join(shown.split())
    assert f"{account.read:,} rows read" in (tmp_path / "report" / "card.md").read_text()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"description": "hit_into_play"}, "not of the task called_strike"),
        ({"description": "called_strike", "plate_x": ""}, "not a valid request"),
    ],
)
def test_files_without_a_usable_row_of_the_task_are_refused_with_the_reason(
    models: Path, tmp_path: Path, change: dict[str, str], reason: str
) -> None:
    cells = sample_cells(date(2022, 9, 5), days=1).with_columns(
        pl.lit(text).alias(name) for name, text in change.items()
    )
    (tmp_path / "rows.csv").write_bytes(as_csv(cells))
    refused = run(evaluate, "called_strike", tmp_path / "rows.csv", "--model-repository", models).exception
    assert isinstance(refused, NoTaskRowsError)
    assert f"no usable row of the task called_strike in these rows: {cells.height:,} rows read: 0 used" in str(refused)
    assert reason in str(refused)


def test_files_without_a_valid_row_are_refused_with_the_column(models: Path, tmp_path: Path) -> None:
    cells = sample_cells(date(2022, 9, 5), days=1).with_columns(game_date=pl.lit("June"))
    (tmp_path / "rows.csv").write_bytes(as_csv(cells))
    refused = run(evaluate, "whiff", tmp_path / "rows.csv", "--model-repository", models).exception
    assert isinstance(refused, SourceRefusedError)
    assert "rows is valid; game_date: not of type date" in str(refused)
    assert "'June'" in str(refused)


def test_an_export_without_pitch_numbers_is_evaluated_as_the_same_pitches(models: Path, tmp_path: Path) -> None:
    cells = sample_cells(date(2022, 9, 5), days=2, games=3, seed=5)
    cells = cells.with_columns(balls=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("4")).otherwise("balls"))
    keyless = as_csv(cells.drop("at_bat_number", "pitch_number"))
    for name, content in (("today.csv", as_csv(cells)), ("old.csv", keyless), ("copy.csv", keyless)):
        (tmp_path / name).write_bytes(content)
    words = ("--model-repository", models, "--json")
    today = json.loads(run(evaluate, "whiff", tmp_path / "today.csv", *words).stdout)
    old = json.loads(run(evaluate, "whiff", tmp_path / "old.csv", *words).stdout)
    assert {name: old[name] for name in ("rows", "account")} == {name: today[name] for name in ("rows", "account")}
    assert old["log_loss"] == pytest.approx(today["log_loss"], abs=1e-9)
    assert old["account"]["left_out"]["rejected (balls: not from 0 to 3)"] == 5
    twice = json.loads(run(evaluate, "whiff", tmp_path / "old.csv", tmp_path / "copy.csv", *words).stdout)
    assert twice["rows"] == today["rows"]


def test_recalibration_accounts_for_every_row_in_text_report_card_and_log(
    models: Path, later_days: Path, tmp_path: Path
) -> None:
    cells = sample_cells(date(2022, 9, 5), days=1, seed=6)
    (tmp_path / "minor.csv").write_bytes(as_csv(cells.with_columns(home_team=pl.lit("ROC"), away_team=pl.lit("STP"))))
    (tmp_path / "faulty.csv").write_bytes(as_csv(pl.concat([cells.with_columns(strikes=pl.lit("3")).head(7), cells])))
    days = ("--since", "2022-09-01", "--until", "2022-09-10", "--model-repository", models)
    with capture_logs() as events:
        done = run(recalibrate, "called_strike", later_days, tmp_path, *days)
    assert done.exit_code == 0, done.exception
    account = read_evaluation(models / "called_strike" / "2").account
    assert account is not None
    assert account.left_out["rejected (strikes: not from 0 to 2)"] == 7
    assert account.left_out["of the minor leagues"] == cells.height
    assert account.read == account.used + sum(account.left_out.values())
    assert "7 rejected (strikes: not from 0 to 2)" in " ".join(done.stdout.split())
    assert str(account) in (models / "called_strike" / "2" / "card.md").read_text()
    (event,) = [event for event in events if event["event"] == "rows_accounted"]
    assert event["left_out"]["rejected (strikes: not from 0 to 2)"] == 7


@pytest.mark.parametrize("name", TASKS)
def test_a_trained_version_accounts_for_its_rows_in_report_and_card(models: Path, name: str) -> None:
    account = read_evaluation(models / name / "1").account
    assert account is not None
    assert account.read == account.used + sum(account.left_out.values())
    assert str(account) in (models / name / "1" / "card.md").read_text()


def recalibrate_on_later_days(models: Path, later_days: Path) -> Result:
    days = ("--since", "2022-09-01", "--until", "2022-09-10")
    return run(recalibrate, "called_strike", later_days, *days, "--model-repository", models)


def test_recalibration_publishes_a_version_with_a_new_last_layer_only(models: Path, later_days: Path) -> None:
    done = recalibrate_on_later_days(models, later_days)
    assert done.exit_code == 0, done.exception
    assert "no alias points to it yet" in done.stdout
    before, after = (open_version(models, TASKS["called_strike"], number) for number in (1, 2))
    assert after.manifest.recalibrated_from == 1
    assert str(after.manifest.training.calibration_window) == "2022-09-01 to 2022-09-05"
    assert after.manifest.training.data_fingerprint != before.manifest.training.data_fingerprint
    assert after.manifest.training.fit_window == before.manifest.training.fit_window
    rows = np.random.default_rng(1).normal(size=(50, len(before.manifest.feature_names))).astype(np.float32)
    np.testing.assert_array_equal(before.graph.members(rows), after.graph.members(rows))
    assert np.abs(before.graph.probabilities(rows) - after.graph.probabilities(rows)).max() > 0


def test_a_recalibrated_version_has_its_own_evaluation_and_passes_the_gate(models: Path, later_days: Path) -> None:
    publish_sibling(models, "called_strike", 2, shift=0.7)
    move_alias(models, "called_strike", PRODUCTION, 2, DECISION)
    done = run(recalibrate, "called_strike", later_days, "--since", "2022-09-01", "--model-repository", models)
    assert "gate: passed" in done.stdout
    version = open_version(models, TASKS["called_strike"], 3)
    evaluation = read_evaluation(version.folder)
    assert (evaluation.version, evaluation.is_serving_fit, evaluation.has_training_days) == (3, True, False)
    assert str(evaluation.calibration_window) == str(version.manifest.training.calibration_window)
    assert (str(evaluation.calibration_window), str(evaluation.evaluation_window)) == (
        "2022-09-01 to 2022-09-07",
        "2022-09-08 to 2022-09-14",
    )
    rows = build_dataset(TASKS["called_strike"], read_statcast_files([later_days], TASKS["called_strike"]).rows)
    evaluated = rows.between(evaluation.evaluation_window)
    assert version.manifest.training.data_fingerprint == rows.between(evaluation.calibration_window).fingerprint
    for number, log_loss in ((3, evaluation.log_loss), (2, evaluation.baselines["version_2"].log_loss)):
        graph = open_version(models, TASKS["called_strike"], number).graph
        assert log_loss == scoring.log_loss(graph.probabilities(evaluated.features), evaluated.labels)
    promoted = run(promote, "called_strike", "3", "--model-repository", models)
    assert promoted.exit_code == 0, promoted.exception
    assert aliases(models, "called_strike") == {PRODUCTION: 3}


def test_a_recalibrated_version_that_is_worse_is_not_promoted(models: Path, later_days: Path, tmp_path: Path) -> None:
    swapped = shutil.copytree(later_days, tmp_path / "swapped") / "half0.csv"
    text = swapped.read_text().replace(",ball,", ",?,").replace(",called_strike,", ",ball,")
    swapped.write_text(text.replace(",?,", ",called_strike,"))
    done = run(recalibrate, "called_strike", swapped.parent, "--since", "2022-09-01", "--model-repository", models)
    assert "gate: failed: no better than a constant" in done.stdout
    assert isinstance(run(promote, "called_strike", "2", "--model-repository", models).exception, GateFailedError)
    assert aliases(models, "called_strike") == {PRODUCTION: 1}


def test_recalibration_needs_days_after_those_of_production(models: Path, later_days: Path) -> None:
    words = ("called_strike", later_days, "--since", "2022-09-01", "--model-repository", models)
    run(recalibrate, *words)
    move_alias(models, "called_strike", PRODUCTION, 2, DECISION)
    refused = run(recalibrate, *words, "--version", "1").exception
    assert isinstance(refused, OverlappingDaysError)
    assert "version 2 was fitted and calibrated on 2022-06-01 to 2022-09-07; give days after 2022-09-07" in str(refused)


def test_too_few_recent_rows_are_refused(models: Path, later_days: Path) -> None:
    words = ("called_strike", later_days, "--since", "2022-09-10", "--model-repository", models)
    refused = run(recalibrate, *words).exception
    assert isinstance(refused, TooFewRowsError)
    assert "rows on 5 days are too few: at least 4,000 are required, 2,000 of them to calibrate on" in str(refused)


def test_recalibration_excludes_days_of_the_fit_window(models: Path, tmp_path: Path) -> None:
    fitted = tmp_path / "fitted.csv"
    fitted.write_bytes(as_csv(sample_cells(date(2022, 7, 1), days=14, games=3, seed=5)))
    refused = run(recalibrate, "called_strike", fitted, "--since", "2022-07-01", "--model-repository", models).exception
    assert isinstance(refused, OverlappingDaysError)
    assert "version 1 was fitted and calibrated on 2022-06-01 to 2022-08-31; give days after 2022-08-31" in str(refused)


def test_two_versions_are_compared_on_days_that_neither_was_fitted_on(models: Path, later_days: Path) -> None:
    recalibrate_on_later_days(models, later_days)
    done = run(compare_, "called-strike", "2", "1", later_days, "--model-repository", models)
    assert done.exit_code == 0, done.exception
    assert "evaluated on 2022-09-06 to 2022-09-14" in done.stdout
    assert "log loss" in done.stdout
    same = run(compare_, "called-strike", "1", "1", later_days, "--model-repository", models)
    assert "+0.00000" in same.stdout
    assert "the difference is not significant on these rows" in same.stdout
