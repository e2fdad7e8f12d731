"""A version's figures beside those of what serves: whether it may serve, and what the history keeps of that."""

from pathlib import Path

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.manifest import PRODUCTION, GraphManifest
from ondeck_core.promotion_gate import Verdict, may_promote
from ondeck_registry.artifact_reader import read_any_manifest
from ondeck_registry.repository import evaluation_of


def verdict_on(repository: Path, model: str, alias: str, version: int, *, serving: int | None) -> Verdict:
    """Weigh a version for an alias: for production beside what serves; any other name, and a graph, needs none."""
    if alias != PRODUCTION or version == serving:
        return Verdict(passed=True, reason=f"not weighed for {alias}")
    try:
        if isinstance(read_any_manifest(repository / model / str(version), model, version), GraphManifest):
            return Verdict(passed=True, reason="not weighed: a graph without a task")
        candidate = evaluation_of(repository, model, version)
    except ArtifactRefusedError as refused:
        return Verdict(passed=False, reason=f"nothing tells how it was judged: {refused}")
    if serving is None:
        return may_promote(candidate, None)
    try:
        return may_promote(candidate, evaluation_of(repository, model, serving))
    except ArtifactRefusedError as refused:
        return Verdict(passed=False, reason=f"version {serving}, which serves, cannot be read: {refused}")


def why_moved(why: str, verdict: Verdict) -> str:
    """Write what the history keeps: a person's words, and the verdict that was followed or overruled."""
    if not why.strip():
        return verdict.reason
    return f"{why.strip()}; {verdict.reason}" if verdict.passed else f"{why.strip()}; forced, though {verdict.reason}"
