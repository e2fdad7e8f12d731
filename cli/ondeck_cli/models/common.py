"""What promotion and rollback share: the option for a reason, the decision, and the text of an alias change."""

from datetime import UTC, datetime
from typing import Final

import click

from ondeck_registry.alias_log import AliasChange, login_name
from ondeck_registry.aliases import AliasDecision

REASON: Final = click.option("--reason", default="", help="Recorded in the alias log.")


def new_decision(reason: str, *, forced: bool = False) -> AliasDecision:
    """Return a decision of the current user, made now."""
    return AliasDecision(actor=login_name(), reason=reason, at=datetime.now(UTC), forced=forced)


def describe_change(change: AliasChange) -> str:
    """Describe an alias change in one line."""
    before = "" if change.from_version is None else f", was {change.from_version}"
    return f"{change.model}: {change.alias} is version {change.to_version}{before} ({change.reason})"
