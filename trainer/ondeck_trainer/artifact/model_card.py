"""The model card: what the claims say, laid out for people. Every figure comes from them."""

from collections.abc import Iterable
from typing import Final

from ondeck_core.evaluation import Evaluation, Metrics, scores
from ondeck_core.manifest import EVALUATION_FILE, PARITY_FILE, RELIABILITY_FILE, Manifest, Parity
from ondeck_core.tasks import Task
from ondeck_trainer.model.tried import AIMS, TRIED

_CARD: Final = """\
# {manifest.model}, version {manifest.version}

Asked about one `{task.instance.message}`, it gives calibrated probabilities of: {outcomes}.

## Which fit is which

Two fits of one recipe. The *judged* fit gave every figure under "How well"; it never saw the days it was judged on.
The *served* fit is the graph in this folder: the same recipe, moved on to later days, so that what serves has learned
from the newest rows. It has no figures of its own until there are later days: `ondeck evaluate {manifest.model}`.

| | fitted on | calibrated on | judged on |
| --- | --- | --- | --- |
| judged fit | {evaluation.fit_window} | {evaluation.calibration_window} | {evaluation.evaluation_window} |
| served fit | {training.fit_window} | {training.calibration_window} | |
{recalibrated}
Regular-season rows only; the served fit learned from {training.rows:,}, and from copies of some of those it was
fitted on with optional fields blanked, so that it can be asked with gaps.

{judgement}
## Members (judged fit)

| member | weight | log loss alone | the ensemble is worse without it by |
| --- | --- | --- | --- |
{members}

Weights and calibration were fitted on days later than those the members were fitted on; the figures are of days later
still. A member that weighs less than 0.03 is not shipped. Source: `{evaluation_file}`.

{tried}## The graph beside scikit-learn (served fit)

Largest difference of a probability over {parity.rows:,} rows, {parity.rows_with_nan:,} of them with gaps:
{parity.largest_difference:.1e} (at most {parity.tolerance:.0e} is published). Source: `{parity_file}`.

## Limits

Fitted on the tracked games of one league and one season. Tracking, ball, zone and rules change between seasons: judge
it on later days before you rely on it, and calibrate it anew where they have moved (`ondeck recalibrate`). It knows
nothing of who bats, throws, catches or umpires, nor of the weather.
"""

_JUDGEMENT: Final = """\
## How well ({evaluation.rows:,} rows of {evaluation.games:,} games, {evaluation.evaluation_window})
{warning}
| question | predictor | log loss | Brier | ECE | AUC | accuracy |
| --- | --- | --- | --- | --- | --- | --- |
{scores}
{worth}
Less is better, but for AUC and accuracy. Of 100 draws of whole games, 95 give: {intervals}.
Source: `{evaluation_file}`.

## Calibration

![What was predicted against what happened]({picture})

## Prediction sets

| stated coverage | held what happened | mean outcomes in a set | empty sets | by outcome |
| --- | --- | --- | --- | --- |
{sets}

## Where it does better and worse

| by | value | rows | log loss | ECE | accuracy |
| --- | --- | --- | --- | --- | --- |
{slices}
"""


def card(task: Task, manifest: Manifest, evaluation: Evaluation, parity: Parity) -> str:
    """Write the card of a version in Markdown."""
    return _CARD.format(
        task=task,
        manifest=manifest,
        training=manifest.training,
        evaluation=evaluation,
        parity=parity,
        outcomes=", ".join(f"`{outcome}`" for outcome in manifest.outcomes),
        judgement=judgement(evaluation),
        recalibrated=_recalibrated(manifest),
        tried=_tried(task, evaluation),
        members=_rows(
            (each.member, *_four(each.weight, each.log_loss_alone, each.log_loss_increase))
            for each in evaluation.ablation
        ),
        evaluation_file=EVALUATION_FILE,
        parity_file=PARITY_FILE,
    )


def _tried(task: Task, evaluation: Evaluation) -> str:
    aim = AIMS.get(task.name)
    if aim is None or evaluation.log_loss is None or evaluation.log_loss <= aim:
        return ""
    return f"## What was tried\n\n{TRIED[task.name]}\n"


def _recalibrated(manifest: Manifest) -> str:
    if manifest.recalibrated_from is None:
        return ""
    return f"\nIts members are those of version {manifest.recalibrated_from}; the last layer alone was fitted anew.\n"


def judgement(evaluation: Evaluation) -> str:
    """Write the part of a card that tells how a version did."""
    return _JUDGEMENT.format(
        evaluation=evaluation,
        warning="\n**It was fitted on some of these days: the figures are too good.**\n"
        if evaluation.has_training_days
        else "",
        scores=_rows(
            (each.question, each.predictor, *_four(each.log_loss, each.brier, each.ece, each.auc, each.accuracy))
            for each in scores(evaluation)
        ),
        worth=_worth(evaluation),
        intervals=", ".join(f"{name} {each.low:.4f} to {each.high:.4f}" for name, each in evaluation.intervals.items()),
        picture=RELIABILITY_FILE,
        sets=_rows(
            (
                f"{each.nominal:.0%}",
                f"{each.empirical:.1%}",
                f"{each.mean_size:.2f}",
                f"{each.empty:.1%}",
                ", ".join(f"{outcome} {held:.1%}" for outcome, held in each.by_outcome.items()),
            )
            for each in evaluation.prediction_sets
        ),
        slices=_rows(
            (each.by, each.value, f"{each.rows:,}", *_four(each.log_loss, each.ece, each.accuracy))
            for each in evaluation.slices
        ),
        evaluation_file=EVALUATION_FILE,
    )


def shifted(evaluation: Evaluation) -> str:
    """Write the part that tells how far the judged rows have moved from the training days."""
    if not evaluation.drift:
        return ""
    lines = _rows((f"`{each.field}`", f"{each.index:.4f}") for each in evaluation.drift)
    return (
        "\n## Shift since training\n\nPopulation stability index by field: above 0.1 is usually called a shift.\n\n"
        f"| field | index |\n| --- | --- |\n{lines}\n"
    )


def _worth(evaluation: Evaluation) -> str:
    predictors: dict[str, Metrics] = {"model": evaluation, **evaluation.baselines}
    told = [f"{name} {each.xwoba_rmse:.4f}" for name, each in predictors.items() if each.xwoba_rmse is not None]
    return f"\nRoot mean squared error against `woba_value`: {', '.join(told)}.\n" if told else ""


def _rows(rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _four(*values: float | None) -> tuple[str, ...]:
    return tuple("" if value is None else f"{value:.4f}" for value in values)
