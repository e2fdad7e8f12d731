"""`ondeck models verify`: versions opened as the server opens them."""

from collections.abc import Iterable
from pathlib import Path

import click

from ondeck_cli.models.options import check_there, leading_nowhere, line_named, repository_of, shelved
from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry.repository import ModelEntry, read_repository
from ondeck_registry.verification import verify as verify_version


@click.command()
@click.argument("model", required=False)
@click.argument("version", type=click.IntRange(1), required=False)
@shelved
def verify(model: str | None, version: int | None, **flags: object) -> int:
    """See whether every version, or those of MODEL, or one, is what it claims: checksums, features, golden rows.

    Exit code 1: one does not hold, or an alias points nowhere, or there is no version at all.
    """
    repository = repository_of(flags)
    lines = read_repository(repository) if model is None else [line_named(repository, model)]
    if version is not None:
        check_there(lines[0], version)
    broken = [told for line in lines for told in leading_nowhere(line) if version is None]
    wanted = [(line, each) for line in lines for each in line.versions if version in (None, each)]
    if not wanted:
        broken.append(f"there is no version in {repository}")
    broken += _refused(repository, wanted)
    for told in broken:
        click.echo(told, err=True)
    return 1 if broken else 0


def _refused(repository: Path, wanted: Iterable[tuple[ModelEntry, int]]) -> list[str]:
    refused = []
    for line, version in wanted:
        try:
            verify_version(repository / line.model / str(version), line.model, version)
        except ArtifactRefusedError as broken:
            refused.append(f"{line.model} {version} does not hold: {broken}")
        else:
            click.echo(f"{line.model} {version} holds")
    return refused
