"""`ondeck models promote`: a version is weighed, and serves."""

import click

from ondeck_cli.models.common import REASON, check_claims, decided, in_words
from ondeck_cli.models.options import check_there, line_named, repository_of, shelved
from ondeck_core.errors import OndeckError
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION
from ondeck_registry.aliases import holding_aliases
from ondeck_registry.gate import verdict_on, why_moved


class PromotionFailedError(OndeckError):
    """A version is not better than what serves."""


@click.command()
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@click.option("--alias", default=PRODUCTION, show_default=True, help="Name to give it; any other is given unweighed.")
@click.option("--force", is_flag=True, help="Even if it is not better than what serves; needs --reason.")
@REASON
@shelved
def promote(model: str, version: int, *, alias: str, force: bool, reason: str, **flags: object) -> None:
    """Put VERSION of MODEL into production.

    It must hold what it claims, have a better log loss than what serves on the same days, and an ECE that is no worse.
    --force overrules the figures, never the claims. Exit code 1: it is not promoted.
    """
    if force and not reason.strip():
        raise click.UsageError("--force needs --reason")
    repository = repository_of(flags)
    line, alias = line_named(repository, model), canonical(alias)
    check_there(line, version)
    with holding_aliases(repository, line.model) as held:
        check_claims(repository, line.model, version)
        verdict = verdict_on(repository, line.model, alias, version, serving=held.current(PRODUCTION))
        if not (verdict.passed or force):
            told = f"{line.model} {version} is not promoted: {verdict.reason} (--force --reason TEXT overrules)"
            raise PromotionFailedError(told)
        move = held.move(alias, version, decided(why_moved(reason, verdict), forced=not verdict.passed))
    click.echo(in_words(move) if move else f"{line.model}: {alias} is version {version} already")
