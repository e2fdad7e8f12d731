"""`ondeck models list`: the versions of a repository's folder, or those of a running server."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
from google.protobuf.json_format import MessageToDict
from rich.console import Console
from rich.table import Table

from ondeck_cli.models.repository_lookup import model_faults, repository_of, repository_option
from ondeck_cli.remote import ServerAddress, connect, server_of, tls_options
from ondeck_client import Model, ModelState
from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.evaluation import Evaluation, scores
from ondeck_core.manifest import MODEL_FILE, GraphManifest, Manifest
from ondeck_registry.repository import ModelEntry, read_any_manifest, read_evaluation, read_repository

STATE_PREFIX: Final = "MODEL_STATE_"


@dataclass(frozen=True, kw_only=True)
class VersionListing:
    """A version of the repository, read without verification; `reason`: why it cannot be read, if it cannot."""

    model: str
    version: int
    aliases: tuple[str, ...]
    graph_bytes: int | None
    manifest: Manifest | GraphManifest | None = None
    evaluation: Evaluation | None = None
    reason: str = ""

    def log_loss(self, predictor: str) -> float | None:
        """Return the log loss of a predictor on the observed outcomes, if the evaluation has it."""
        known = scores(self.evaluation) if self.evaluation else []
        found = [each.log_loss for each in known if (each.question, each.predictor) == ("outcomes", predictor)]
        return found[0] if found else None

    def as_json(self) -> dict[str, Any]:
        """Return the version as JSON values; unknown ones are null."""
        manifest, evaluation = self.manifest, self.evaluation
        return {
            "model": self.model,
            "version": self.version,
            "aliases": list(self.aliases),
            "created": manifest and manifest.created.isoformat(),
            "digest": manifest and manifest.files.get(MODEL_FILE),
            "evaluation_window": evaluation and evaluation.evaluation_window.model_dump(mode="json"),
            "evaluation_rows": evaluation and evaluation.rows,
            "log_loss": self.log_loss("model"),
            "log_loss_of_constant": self.log_loss("constant"),
            "graph_bytes": self.graph_bytes,
            "reason": self.reason or None,
        }


@click.command("list")
@click.option("--target", help="List the versions of this server, as host:port; default: those of the repository.")
@tls_options
@click.option("--json", "as_json", is_flag=True, help="Print all fields as JSON.")
@repository_option
def list_(target: str | None, *, as_json: bool, **flags: object) -> None:
    """List versions with their aliases and evaluation; those of a running server also with their state."""
    if target is not None and flags["model_repository"] is not None:
        raise click.UsageError("--model-repository and --target exclude each other")
    if target is not None:
        _print_server(server_of(target, flags), as_json=as_json)
        return
    if any(flags[name] is not None for name in ("ca", "certificate", "key")):
        raise click.UsageError("--ca, --certificate and --key need --target")
    _print_repository(repository_of({"model_repository": flags["model_repository"]}), as_json=as_json)


def _print_repository(repository: Path, *, as_json: bool) -> None:
    models = read_repository(repository)
    versions = [_read_version(repository, model, number) for model in models for number in model.versions]
    if as_json:
        Console(soft_wrap=True).print_json(data=[each.as_json() for each in versions])
        return
    Console(width=120, highlight=False).print(_repository_table(versions))
    for each in versions:
        if each.reason:
            click.echo(f"{each.model} {each.version} cannot be read: {each.reason}")
    for model in models:
        for message in model_faults(model):
            click.echo(message)


def _read_version(repository: Path, model: ModelEntry, version: int) -> VersionListing:
    folder = repository / model.model / str(version)
    aliases = tuple(sorted(alias for alias, target in model.aliases.items() if target == version))
    graph = folder / MODEL_FILE
    size = graph.stat().st_size if graph.is_file() else None
    manifest, evaluation, reason = None, None, ""
    try:
        manifest = read_any_manifest(folder, model.model, version)
        evaluation = read_evaluation(folder) if isinstance(manifest, Manifest) else None
    except ArtifactRefusedError as error:
        manifest, reason = None, str(error)
    return VersionListing(
        model=model.model,
        version=version,
        aliases=aliases,
        graph_bytes=size,
        manifest=manifest,
        evaluation=evaluation,
        reason=reason,
    )


def _repository_table(versions: list[VersionListing]) -> Table:
    table = _new_table("model", "version", "aliases", "created", "evaluated on", "log loss", "constant", "graph")
    for each in versions:
        table.add_row(
            each.model,
            str(each.version),
            ", ".join(each.aliases),
            f"{each.manifest.created:%Y-%m-%d}" if each.manifest else "",
            str(each.evaluation.evaluation_window) if each.evaluation else "",
            _format(each.log_loss("model")),
            _format(each.log_loss("constant")),
            "" if each.graph_bytes is None else f"{each.graph_bytes / 1e6:.1f} MB",
        )
    return table


def _print_server(server: ServerAddress, *, as_json: bool) -> None:
    with connect(server) as client:
        versions = client.models()
    if as_json:
        data = [MessageToDict(each, preserving_proto_field_name=True) for each in versions]
        Console(soft_wrap=True).print_json(data=data)
        return
    Console(width=112, highlight=False).print(_server_table(versions))
    for each in versions:
        if each.state_reason:
            click.echo(f"{each.name} {each.version} {_state(each)}: {each.state_reason}")


def _server_table(versions: list[Model]) -> Table:
    table = _new_table("model", "version", "state", "aliases", "evaluated on", "log loss", "constant")
    for each in versions:
        window = each.evaluation.evaluation_window
        table.add_row(
            each.name,
            str(each.version),
            _state(each),
            ", ".join(each.aliases),
            f"{window.first_day} to {window.last_day}" if each.HasField("evaluation") else "",
            _format(_log_loss(each, "model")),
            _format(_log_loss(each, "constant")),
        )
    return table


def _state(model: Model) -> str:
    return ModelState.Name(model.state).removeprefix(STATE_PREFIX).lower()


def _log_loss(model: Model, predictor: str) -> float | None:
    known = model.evaluation.scores
    found = [each.log_loss for each in known if (each.question, each.predictor) == ("outcomes", predictor)]
    return found[0] if found else None


def _new_table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _format(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
