"""`ondeck models import`, `verify` and `migrate`: commands on the files of versions."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

import click

from ondeck_cli.models.aliases import new_decision
from ondeck_cli.models.repository_lookup import (
    check_version,
    find_model,
    model_faults,
    repository_of,
    repository_option,
)
from ondeck_core.errors import ArtifactRefusedError, printable
from ondeck_core.manifest import PRODUCTION, Tensor
from ondeck_core.model_name_normalization import canonical
from ondeck_registry import promotion
from ondeck_registry.import_onnx import MAX_IMPORT_MIB, ReadGraph, publish_graph, read_graph
from ondeck_registry.migrate_format import migrate_repository
from ondeck_registry.repository import ModelEntry, read_repository
from ondeck_registry.verification import verify as verify_version


@click.command("import")
@click.argument("name")
@click.argument("graph", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@repository_option
@click.option("--output", "outputs", multiple=True, help="Serve only this output of the graph; may be repeated.")
@click.option(
    "--max-graph-mib",
    type=click.IntRange(1, 2047),
    default=MAX_IMPORT_MIB,
    show_default=True,
    help="Limit of the graph with its weights, in MiB.",
)
@click.option("--alias", help=f"Alias to point to the new version; {PRODUCTION}: it serves.")
@click.option("--reason", default="imported", show_default=True, help="Recorded in the alias log.")
def import_(  # noqa: PLR0913  the options of a command
    name: str,
    graph: Path,
    outputs: tuple[str, ...],
    *,
    max_graph_mib: int,
    alias: str | None,
    reason: str,
    **flags: object,
) -> None:
    """Import GRAPH, an ONNX file, into the repository as the next version of NAME.

    It is served through the Open Inference Protocol only. It must take one float32 tensor of shape [rows, n], and its
    outputs for a row must not depend on other rows. Its golden rows are generated and record its present outputs: they
    prove that every server computes the same outputs, not that these are right. Weights in files beside GRAPH, or in
    folders there, become part of the version's one graph file; a map of probabilities becomes a tensor.
    """
    repository = repository_of(flags)
    read = read_graph(graph, max_graph_mib)
    manifest = publish_graph(repository, canonical(name), read.graph, outputs)
    click.echo(f"{manifest.model} version {manifest.version}: inputs {_describe(manifest.inputs)}")
    click.echo(f"outputs {_describe(manifest.outputs)}")
    for line in _describe_changes(read, {each.name for each in manifest.outputs}):
        click.echo(line)
    if alias is not None:
        promotion.promote(repository, manifest.model, canonical(alias), manifest.version, new_decision(reason))
        click.echo(f"{manifest.model}: {canonical(alias)} is version {manifest.version}")


@click.command()
@click.argument("model", required=False)
@click.argument("version", type=click.IntRange(1), required=False)
@repository_option
def verify(model: str | None, version: int | None, **flags: object) -> int:
    """Verify every version, or those of MODEL, or one VERSION: checksums, features, golden rows.

    Exit code 1: a version fails, an alias points to a missing version, or there is no version at all.
    """
    repository = repository_of(flags)
    models = read_repository(repository) if model is None else [find_model(repository, model)]
    if version is not None:
        check_version(models[0], version)
    problems = [problem for each in models for problem in model_faults(each) if version is None]
    selected = [(each, number) for each in models for number in each.versions if version in (None, number)]
    if not selected:
        problems.append(f"there is no version in {repository}")
    problems += _verify_each(repository, selected)
    for problem in problems:
        click.echo(problem, err=True)
    return 1 if problems else 0


@click.command()
@repository_option
def migrate(**flags: object) -> None:
    """Migrate manifests, evaluations and alias logs, and render the model cards again; graphs and values stay."""
    from ondeck_trainer.artifact.publish import update_reports  # noqa: PLC0415  the other commands do not plot

    repository = repository_of(flags)
    changed = migrate_repository(repository) + update_reports(repository)
    for each in changed:
        click.echo(f"migrated {each}")
    if not changed:
        click.echo("nothing to migrate")


def _describe_changes(read: ReadGraph, outputs: Collection[str]) -> Iterator[str]:
    """Yield what the published graph has that the imported file had elsewhere or in another form."""
    if read.weight_files:
        yield f"weights of {', '.join(map(printable, read.weight_files))} are in the graph file"
    for output, classes in read.classes.items():
        if output in outputs:
            yield printable(f"{output} was a map; its columns are the classes {', '.join(classes)}")


def _describe(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{each.name} {each.datatype} {list(each.shape)}" for each in tensors)


def _verify_each(repository: Path, selected: Iterable[tuple[ModelEntry, int]]) -> list[str]:
    """Print the versions that pass; return a message for each that fails."""
    failures = []
    for model, version in selected:
        try:
            verify_version(repository / model.model / str(version), model.model, version)
        except ArtifactRefusedError as error:
            failures.append(f"{model.model} {version} fails verification: {error}")
        else:
            click.echo(f"{model.model} {version} passes")
    return failures
