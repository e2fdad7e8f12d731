"""The model card and its reliability diagram, rendered from the metadata files of a version."""

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from ondeck_core.evaluation import Evaluation, Metrics, ReliabilityBin, scores
from ondeck_core.manifest import CARD_FILE, EVALUATION_FILE, PARITY_FILE, RELIABILITY_FILE, Manifest, Parity
from ondeck_core.tasks import Task
from ondeck_trainer.model.recipes import TARGET_LOG_LOSS

_PANEL_INCHES: Final = 2.4
_STYLE: Final[Any] = {"svg.hashsalt": "ondeck", "svg.fonttype": "none", "font.size": 8}  # the same bytes on every run

_CARD: Final = """\
# {manifest.model}, version {manifest.version}

Predicts calibrated probabilities of the outcomes of one `{task.instance.message}`: {outcomes}.

## Fits

{fits}
All rows are of the regular season. The members were also fitted on copies of some rows with optional fields missing,
since a request may leave optional fields out.

{metrics}{target}
## Members

{members}

Weights and calibration are fitted on days after those of the members. A member with a weight below 0.03 is not
published. Source: `{evaluation_file}`.

## Parity with scikit-learn

Largest difference of a probability over {parity.rows:,} rows, {parity.rows_with_nan:,} of them with missing fields:
{parity.largest_difference:.1e} (limit {parity.tolerance:.0e}). Source: `{parity_file}`.

## Limits

The training rows are the tracked games of one league and one season. Tracking, ball, strike zone and rules change
between seasons: evaluate the version on later days before you rely on it (`ondeck evaluate {manifest.model}`), and
recalibrate it where they have changed (`ondeck recalibrate`). Batter, pitcher, catcher, umpire and weather are not
features.
"""

_TWO_FITS: Final = """\
One recipe, fitted twice. The evaluated fit has every metric below; it has not seen the evaluation window. The serving
fit is the graph of this version, fitted on later days. It has no metrics of its own until there are rows of days after
these: `ondeck evaluate {manifest.model}`.

| | fitted on | calibrated on | evaluated on |
| --- | --- | --- | --- |
| evaluated fit | {evaluation.fit_window} | {evaluation.calibration_window} | {evaluation.evaluation_window} |
| serving fit | {training.fit_window} | {training.calibration_window} | |

Rows of the serving fit: {training.rows:,}.
"""

_RECALIBRATED: Final = """\
The members are those of version {manifest.recalibrated_from}; only the calibration was fitted on later days. The
metrics below are of the graph of this version.

| fitted on | calibrated on | evaluated on |
| --- | --- | --- |
| {training.fit_window} | {training.calibration_window} | {evaluation.evaluation_window} |
"""

_METRICS: Final = """\
## Metrics ({evaluation.rows:,} rows of {evaluation.games:,} games, {evaluation.described_window})
{warning}
| question | predictor | log loss | Brier | ECE | AUC | accuracy |
| --- | --- | --- | --- | --- | --- | --- |
{scores}
{xwoba}
{account}Lower is better, except for AUC and accuracy. 95 % bootstrap intervals over games: {intervals}.
Source: `{evaluation_file}`.

## Calibration

![Predicted probability and observed frequency]({picture})

## Prediction sets

| nominal coverage | empirical coverage | mean outcomes in a set | empty sets | by outcome |
| --- | --- | --- | --- | --- |
{sets}

## Metrics by slice

| by | value | rows | log loss | ECE | accuracy |
| --- | --- | --- | --- | --- | --- |
{slices}
"""


def render_report(task: Task, manifest: Manifest, evaluation: Evaluation, parity: Parity) -> dict[str, bytes]:
    """Render the files of a version for readers: the model card and the reliability diagram."""
    title = f"{task.name}, evaluated on {evaluation.evaluation_window}"
    return {
        RELIABILITY_FILE: plot_reliability(evaluation.reliability, title),
        CARD_FILE: render_card(task, manifest, evaluation, parity).encode(),
    }


def render_card(task: Task, manifest: Manifest, evaluation: Evaluation, parity: Parity) -> str:
    """Render the model card as Markdown."""
    fits = _TWO_FITS if manifest.recalibrated_from is None else _RECALIBRATED
    return _CARD.format(
        task=task,
        manifest=manifest,
        parity=parity,
        outcomes=", ".join(f"`{outcome}`" for outcome in manifest.outcomes),
        fits=fits.format(manifest=manifest, training=manifest.training, evaluation=evaluation),
        metrics=render_metrics(evaluation),
        target=_target(task, evaluation),
        members=_members(manifest, evaluation),
        evaluation_file=EVALUATION_FILE,
        parity_file=PARITY_FILE,
    )


def _target(task: Task, evaluation: Evaluation) -> str:
    target = TARGET_LOG_LOSS.get(task.name)
    if target is None or evaluation.log_loss is None or evaluation.log_loss <= target:
        return ""
    return (
        f"\nThis version does not reach the target, a log loss of {target}. `docs/experiments.md` lists the trials.\n"
    )


def _members(manifest: Manifest, evaluation: Evaluation) -> str:
    if not evaluation.ablation:
        weights = _rows((name, *_decimals(weight)) for name, weight in manifest.members.items())
        return f"| member | weight |\n| --- | --- |\n{weights}"
    ablation = _rows(
        (each.member, *_decimals(each.weight, each.log_loss_alone, each.log_loss_increase))
        for each in evaluation.ablation
    )
    return f"| member | weight | log loss alone | increase without it |\n| --- | --- | --- | --- |\n{ablation}"


def render_metrics(evaluation: Evaluation) -> str:
    """Render the metrics, prediction sets and slices of an evaluation as Markdown."""
    return _METRICS.format(
        evaluation=evaluation,
        warning="\n**The rows include training days: the metrics are too good.**\n"
        if evaluation.has_training_days
        else "",
        scores=_rows(
            (each.question, each.predictor, *_decimals(each.log_loss, each.brier, each.ece, each.auc, each.accuracy))
            for each in scores(evaluation)
        ),
        xwoba=_xwoba(evaluation),
        account=f"{evaluation.account}.\n\n" if evaluation.account else "",
        intervals=", ".join(f"{name} {each.low:.4f} to {each.high:.4f}" for name, each in evaluation.intervals.items()),
        picture=RELIABILITY_FILE,
        sets=_rows(
            (
                f"{each.nominal:.0%}",
                f"{each.empirical:.1%}",
                f"{each.mean_size:.2f}",
                f"{each.empty:.1%}",
                ", ".join(f"{outcome} {covered:.1%}" for outcome, covered in each.by_outcome.items()),
            )
            for each in evaluation.prediction_sets
        ),
        slices=_rows(
            (each.by, each.value, f"{each.rows:,}", *_decimals(each.log_loss, each.ece, each.accuracy))
            for each in evaluation.slices
        ),
        evaluation_file=EVALUATION_FILE,
    )


def render_drift(evaluation: Evaluation) -> str:
    """Render how far the evaluated rows have drifted from the training rows; empty without drift values."""
    if not evaluation.drift:
        return ""
    lines = _rows((f"`{each.field}`", f"{each.index:.4f}") for each in evaluation.drift)
    return (
        "\n## Drift since training\n\nPopulation stability index by field; above 0.1 is usually called drift.\n\n"
        f"| field | index |\n| --- | --- |\n{lines}\n"
    )


def plot_reliability(curves: Mapping[str, Sequence[ReliabilityBin]], title: str) -> bytes:
    """Plot one reliability diagram for each outcome, as SVG; a point is a bin, the dashed line perfect calibration."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_PANEL_INCHES * len(curves), _PANEL_INCHES + 0.5), layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for panel, (outcome, bins) in zip(panels, curves.items(), strict=True):
            top = max(max(each.predicted, each.observed) for each in bins)
            panel.plot([0, top], [0, top], "--", color="0.6", linewidth=0.8)
            panel.plot([each.predicted for each in bins], [each.observed for each in bins], "o-", markersize=2.5)
            panel.set(title=outcome, xlabel="predicted", aspect="equal")
        panels[0].set_ylabel("observed")
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def _xwoba(evaluation: Evaluation) -> str:
    predictors: dict[str, Metrics] = {"model": evaluation, **evaluation.baselines}
    errors = [f"{name} {each.xwoba_rmse:.4f}" for name, each in predictors.items() if each.xwoba_rmse is not None]
    return f"\nRoot mean squared error of xwOBA against `woba_value`: {', '.join(errors)}.\n" if errors else ""


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _decimals(*values: float | None) -> tuple[str, ...]:
    return tuple("" if value is None else f"{value:.4f}" for value in values)
