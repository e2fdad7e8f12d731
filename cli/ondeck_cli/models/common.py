"""What promotion and rollback have in common: who decides, what must hold before an alias moves, what is told."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry.actor import login_name
from ondeck_registry.alias_events import AliasChange
from ondeck_registry.aliases import AliasDecision
from ondeck_server.models.loader import load_any

REASON: Final = click.option("--reason", default="", help="Recorded in the alias log.")


def decided(why: str, *, forced: bool = False) -> AliasDecision:
    """Decide now, as whoever runs this."""
    return AliasDecision(who=login_name(), why=why, at=datetime.now(UTC), forced=forced)


def check_claims(repository: Path, model: str, version: int) -> None:
    """Open a version as the server would.

    Raises:
        ArtifactRefusedError: it is not what it claims; no server would answer with it.
    """
    try:
        load_any(repository / model / str(version), model, version)
    except ArtifactRefusedError as refused:
        raise ArtifactRefusedError(f"{model} {version} does not hold what it claims: {refused}") from refused


def in_words(move: AliasChange) -> str:
    """Tell a move to whoever made it."""
    before = "" if move.from_version is None else f", was {move.from_version}"
    return f"{move.model}: {move.alias} is version {move.to_version}{before} ({move.why})"
