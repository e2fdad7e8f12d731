"""Promotion and rollback: verify, gate, change the alias and log it, in one act under the model's lock."""

from dataclasses import dataclass, replace
from pathlib import Path

from ondeck_core.errors import ArtifactRefusedError, NotFoundError, OndeckError
from ondeck_core.evaluation import Evaluation
from ondeck_core.manifest import PRODUCTION, GraphManifest
from ondeck_core.promotion_gate import Verdict, check_gate
from ondeck_registry import alias_log, repository
from ondeck_registry.alias_log import AliasChange
from ondeck_registry.aliases import AliasDecision, lock_aliases
from ondeck_registry.repository import read_any_manifest, read_evaluation
from ondeck_registry.verification import require_verified


class GateFailedError(OndeckError):
    """The promotion gate refused a version: it is not better than the version in production."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} {version} is not promoted: {reason}; force and a reason override the gate")


@dataclass(frozen=True, kw_only=True)
class ProductionVersion:
    """The version in production and its evaluation; an imported graph has none."""

    version: int
    evaluation: Evaluation | None


def promote(models: Path, model: str, alias: str, version: int, decision: AliasDecision) -> AliasChange | None:
    """Point an alias to a version; None: it already points there. A forced decision overrides only the gate.

    Raises:
        NotFoundError: there is no such model or version.
        VerificationFailedError: the version differs from its manifest.
        GateFailedError: it is not better than the version in production, and the decision is not forced.
        AliasChangeError: the alias has an invalid name.
        RepositoryLockedError: the model's folder cannot be written now.
    """
    _require_model(models, model)
    with lock_aliases(models, model) as locked:
        _require_version(models, model, version)
        require_verified(models, model, version)
        verdict = gate(models, model, alias, version)
        if not (verdict.passed or decision.forced):
            raise GateFailedError(model, version, verdict.reason)
        reason = _logged_reason(decision.reason, verdict)
        return locked.move(alias, version, replace(decision, reason=reason, forced=not verdict.passed))


def roll_back(models: Path, model: str, alias: str, decision: AliasDecision) -> AliasChange:
    """Point an alias to the version that it pointed to before.

    Raises:
        NotFoundError: there is no such model or alias.
        VerificationFailedError: the previous version differs from its manifest.
        AliasChangeError: there is no previous version.
        RepositoryLockedError: the model's folder cannot be written now.
    """
    _require_model(models, model)
    with lock_aliases(models, model) as locked:
        require_verified(models, model, locked.previous(alias))
        return locked.roll_back(alias, decision)


def gate(models: Path, model: str, alias: str, version: int) -> Verdict:
    """Return the gate's verdict on a published version; only production is gated, and only versions of a task."""
    if alias != PRODUCTION or version == repository.aliases(models, model).get(PRODUCTION):
        return Verdict(passed=True, reason=f"no gate for {alias}")
    try:
        if isinstance(read_any_manifest(models / model / str(version), model, version), GraphManifest):
            return Verdict(passed=True, reason="no gate for a graph without a task")
        candidate = read_evaluation(models / model / str(version))
    except ArtifactRefusedError as refused:
        return Verdict(passed=False, reason=f"its evaluation cannot be read: {refused}")
    return gate_evaluation(models, model, candidate)


def gate_evaluation(models: Path, model: str, candidate: Evaluation) -> Verdict:
    """Return the gate's verdict on an evaluation, of a version that is published or about to be."""
    try:
        serving = production_version(models, model)
    except ArtifactRefusedError as refused:
        return Verdict(passed=False, reason=f"the version in production cannot be read: {refused}")
    if serving is None:
        return check_gate(candidate, None)
    if serving.evaluation is None:
        return Verdict(passed=False, reason="the version in production is a graph without an evaluation")
    return check_gate(candidate, serving.evaluation, serving_version=serving.version)


def production_version(models: Path, model: str) -> ProductionVersion | None:
    """Read which version is in production and its evaluation.

    Raises:
        ArtifactRefusedError: aliases, manifest or evaluation cannot be read.
    """
    number = repository.aliases(models, model).get(PRODUCTION)
    if number is None:
        return None
    folder = models / model / str(number)
    if isinstance(read_any_manifest(folder, model, number), GraphManifest):
        return ProductionVersion(version=number, evaluation=None)
    return ProductionVersion(version=number, evaluation=read_evaluation(folder))


def alias_changes(models: Path, model: str) -> tuple[AliasChange, ...]:
    """List the changes of a model's aliases, the latest first.

    Raises:
        NotFoundError: there is no such model.
    """
    _require_model(models, model)
    return alias_log.history(models, model)[::-1]


def _require_model(models: Path, model: str) -> None:
    known = [entry.model for entry in repository.read_repository(models) if entry.versions]
    if model not in known:
        raise NotFoundError("model", model, known)


def _require_version(models: Path, model: str, version: int) -> None:
    known = repository.versions(models, model)
    if version not in known:
        raise NotFoundError("version", f"{model}/{version}", [str(each) for each in known])


def _logged_reason(reason: str, verdict: Verdict) -> str:
    """Join the reason of the decision and the verdict that was followed or overridden."""
    if not reason.strip():
        return verdict.reason
    return (
        f"{reason.strip()}; {verdict.reason}"
        if verdict.passed
        else f"{reason.strip()}; forced, although {verdict.reason}"
    )
