"""Aliases moved for a caller: what must hold before, and the one act; it waits for the disk and for other writers."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ondeck_core.errors import ArtifactRefusedError, NotFoundError, OndeckError
from ondeck_core.manifest import PRODUCTION
from ondeck_registry import alias_log, repository
from ondeck_registry.alias_events import AliasChange
from ondeck_registry.aliases import AliasDecision, holding_aliases
from ondeck_registry.gate import verdict_on, why_moved
from ondeck_server.models.loader import load


class VerificationFailedError(OndeckError):
    """A version does not hold what it claims, so that no alias may point to it."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} {version} does not hold what it claims: {reason}; publish it anew")


class GateFailedError(OndeckError):
    """A version is not better than what serves."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} {version} is not promoted: {reason}; force overrules")


def promote(models: Path, model: str, alias: str, version: int, decision: AliasDecision) -> AliasChange | None:
    """Point an alias to a version; None: it pointed there already. A forced decision overrules the figures.

    Raises:
        NotFoundError: there is no such model or version.
        VersionRefusedError: the version does not hold what it claims.
        NotBetterError: it is not better than what serves, and the decision is not forced.
        MoveRefusedError: that is no name for an alias.
        FolderClosedError: the model's folder cannot be written now.
    """
    _check_there(models, model)
    with holding_aliases(models, model) as held:
        there = repository.versions(models, model)
        if version not in there:
            raise NotFoundError("version", f"{model}/{version}", [str(known) for known in there])
        _check_claims(models, model, version)
        verdict = verdict_on(models, model, alias, version, serving=held.current(PRODUCTION))
        if not (verdict.passed or decision.forced):
            raise GateFailedError(model, version, verdict.reason)
        told = replace(decision, why=why_moved(decision.why, verdict), forced=not verdict.passed)
        return held.move(alias, version, told)


def roll_back(models: Path, model: str, alias: str, decision: AliasDecision) -> AliasChange:
    """Point an alias to the version that served before.

    Raises:
        NotFoundError: there is no such model or alias.
        VersionRefusedError: what served before does not hold what it claims.
        MoveRefusedError: none served before, or it is no longer there.
        FolderClosedError: the model's folder cannot be written now.
    """
    _check_there(models, model)
    with holding_aliases(models, model) as held:
        _check_claims(models, model, held.before(alias))
        return held.roll_back(alias, decision)


def history(models: Path, model: str) -> Sequence[AliasChange]:
    """List the moves of a model's aliases, the latest first.

    Raises:
        NotFoundError: there is no such model.
    """
    _check_there(models, model)
    return alias_log.history(models, model)[::-1]


def _check_there(models: Path, model: str) -> None:
    known = [each.name for each in sorted(models.iterdir()) if repository.versions(models, each.name)]
    if model not in known:
        raise NotFoundError("model", model, known)


def _check_claims(models: Path, model: str, version: int) -> None:
    try:
        load(models / model / str(version), model, version)
    except ArtifactRefusedError as refused:
        raise VerificationFailedError(model, version, str(refused)) from refused
