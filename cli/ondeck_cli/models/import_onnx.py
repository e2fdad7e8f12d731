"""`ondeck models import`: publish an ONNX graph as a version without a task."""

from collections.abc import Sequence
from pathlib import Path

import click

from ondeck_cli.models.common import new_decision
from ondeck_cli.models.options import repository_of, shelved
from ondeck_core.identifiers import canonical
from ondeck_core.manifest import PRODUCTION, Tensor
from ondeck_registry import promotion
from ondeck_registry.import_onnx import publish_graph


@click.command("import")
@click.argument("name")
@click.argument("graph", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@shelved
@click.option("--output", "outputs", multiple=True, help="Serve this output of the graph alone; may be repeated.")
@click.option("--alias", help=f"Point this name to the new version; {PRODUCTION}: it serves.")
@click.option("--reason", default="imported", show_default=True, help="Recorded in the alias log.")
def import_(name: str, graph: Path, outputs: tuple[str, ...], alias: str | None, reason: str, **flags: object) -> None:
    """Put GRAPH, an ONNX file, into the repository as the next version of NAME.

    It is served through the Open Inference Protocol alone. It must take one float32 tensor of shape [rows, n], and
    answer each row by itself. Its golden rows are made up and hold what it answers now, so that it is seen to answer
    the same wherever it is loaded; whether that is right, nobody checks.
    """
    models = repository_of(flags)
    manifest = publish_graph(models, canonical(name), graph.read_bytes(), outputs)
    click.echo(f"{manifest.model} version {manifest.version}: takes {_describe(manifest.inputs)}")
    click.echo(f"gives {_describe(manifest.outputs)}")
    if alias is not None:
        promotion.promote(models, manifest.model, canonical(alias), manifest.version, new_decision(reason))
        click.echo(f"{manifest.model}: {canonical(alias)} is version {manifest.version}")


def _describe(tensors: Sequence[Tensor]) -> str:
    return ", ".join(f"{each.name} {each.datatype} {list(each.shape)}" for each in tensors)
