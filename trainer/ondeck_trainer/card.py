"""The model card: what the claims say, laid out for people. Every figure comes from them."""

from typing import Final

from ondeck_core.manifest import EVALUATION_FILE, PARITY_FILE, Evaluation, Manifest, Parity, ReliabilityBin, Score
from ondeck_core.tasks import Task

_CARD: Final = """\
# {manifest.model}, version {manifest.version}

Asked about one `{task.instance.message}`, it gives calibrated probabilities of: {outcomes}.

## Which fit is which

Two fits of one recipe. The *judged* fit gave every figure under "How well"; it never saw the days it was judged on.
The *served* fit is the graph in this folder: the same recipe, moved on to later days, so that what serves has learned
from the newest rows. It has no figures of its own, because there are no later days to judge it on.

| | fitted on | calibrated on | judged on |
| --- | --- | --- | --- |
| judged fit | {evaluation.fitted} | {evaluation.calibrated} | {evaluation.judged} |
| served fit | {training.fitted} | {training.calibrated} | |

Regular-season rows only; the served fit learned from {training.rows:,}, and from copies of some of those it was
fitted on with optional fields blanked, so that it can be asked with gaps. Of `hc_x`, `hc_y` only the direction counts.

## How well (judged fit, {evaluation.rows:,} rows)

| question | predictor | log loss | Brier | ECE | AUC | accuracy |
| --- | --- | --- | --- | --- | --- | --- |
{scores}

Less is better, but for AUC and accuracy. Source: `{evaluation_file}`.

## Calibration (judged fit)

{reliability}
## Members of the vote (served fit)

| member | weight |
| --- | --- |
{members}

Weights and calibration were fitted on days later than those the members were fitted on.

## The graph beside scikit-learn (served fit)

Largest difference of a probability over {parity.rows:,} rows, {parity.rows_with_nan:,} of them with gaps:
{parity.largest_difference:.1e} (at most {parity.tolerance:.0e} is published). Source: `{parity_file}`.

## Limits

Fitted on the tracked games of one league and one season. Tracking, ball, zone and rules change between seasons: judge
it on later days before you rely on it. It knows nothing of who bats or throws, of the park, the weather or the umpire.
"""


def card(task: Task, manifest: Manifest, evaluation: Evaluation, parity: Parity) -> str:
    """Write the card in Markdown."""
    return _CARD.format(
        task=task,
        manifest=manifest,
        training=manifest.training,
        evaluation=evaluation,
        parity=parity,
        outcomes=", ".join(f"`{outcome}`" for outcome in manifest.outcomes),
        scores="\n".join(map(_score_line, evaluation.scores)),
        reliability="\n".join(_reliability(outcome, bins) for outcome, bins in evaluation.reliability.items()),
        members="\n".join(f"| {name} | {weight:.3f} |" for name, weight in manifest.members.items()),
        evaluation_file=EVALUATION_FILE,
        parity_file=PARITY_FILE,
    )


def _score_line(each: Score) -> str:
    figures = (each.log_loss, each.brier, each.ece, each.auc, each.accuracy)
    cells = ("" if figure is None else f"{figure:.4f}" for figure in figures)
    return f"| {each.question} | {each.predictor} | {' | '.join(cells)} |"


def _reliability(outcome: str, bins: tuple[ReliabilityBin, ...]) -> str:
    lines = "\n".join(f"| {each.rows:,} | {each.predicted:.4f} | {each.happened:.4f} |" for each in bins)
    head = "| rows | predicted | happened |\n| --- | --- | --- |"
    return f"`{outcome}`, rows in bins of like prediction:\n\n{head}\n{lines}\n"
