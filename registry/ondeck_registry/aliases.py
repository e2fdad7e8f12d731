"""Aliases, moved: by one at a time, onto what is there, and never without a line in the audit."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from ondeck_core.errors import NotFoundError, OndeckError
from ondeck_core.manifest import ALIASES_FILE, Aliases
from ondeck_registry import alias_log, atomic_files
from ondeck_registry.alias_events import AliasChange, served
from ondeck_registry.lock import exclusive_lock
from ondeck_registry.repository import aliases, versions

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class AliasChangeError(OndeckError):
    """An alias cannot be moved so; it points to where it did."""


@dataclass(frozen=True, kw_only=True)
class AliasDecision:
    """Who moves an alias, why, when, and whether against a gate's verdict; nobody moves one without a reason."""

    actor: str
    reason: str
    at: datetime
    forced: bool = False

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or not self.actor.strip() or not self.reason.strip():
            raise ValueError(f"a decision has an actor, a reason and an aware time, not {self}")


class LockedAliases:
    """The aliases of one model while nobody else moves them: what they are may be looked at, decided on and changed."""

    def __init__(self, models: Path, model: str) -> None:
        self._models = models
        self._model = model

    def current(self, alias: str) -> int | None:
        """Tell to which version an alias points; None: there is no such alias."""
        return aliases(self._models, self._model).get(alias)

    def before(self, alias: str) -> int:
        """Tell to which version a rollback of an alias would lead.

        Raises:
            NotFoundError: there is no such alias.
            AliasChangeError: none served before, or it is no longer there.
        """
        known = aliases(self._models, self._model)
        if alias not in known:
            raise NotFoundError("alias", f"{self._model}@{alias}", sorted(known))
        *earlier, current = served(alias_log.history(self._models, self._model), alias, known[alias])
        if not earlier:
            raise AliasChangeError(f"{self._model}: no version is on record as {alias} before version {current}")
        before = earlier[-1]
        if before not in versions(self._models, self._model):
            raise AliasChangeError(
                f"{self._model}: version {before}, which was {alias} before version {current}, is no longer there; "
                "promote one that is"
            )
        return before

    def move(self, alias: str, version: int, decision: AliasDecision) -> AliasChange | None:
        """Point an alias to a version; None: it pointed there already, and nothing is recorded.

        Raises:
            NotFoundError: there is no such version.
            AliasChangeError: that is no name for an alias.
        """
        if not is_alias(alias):
            raise AliasChangeError(f"{alias!r} is no name for an alias: lower-case letters, digits and _ make one")
        there = versions(self._models, self._model)
        if version not in there:
            raise NotFoundError("version", f"{self._model}/{version}", [str(known) for known in there])
        return None if self.current(alias) == version else self._go(alias, version, decision, rollback=False)

    def roll_back(self, alias: str, decision: AliasDecision) -> AliasChange:
        """Point an alias to the version that served before the present one; raises as `before` does."""
        return self._go(alias, self.before(alias), decision, rollback=True)

    def _go(self, alias: str, version: int, decision: AliasDecision, *, rollback: bool) -> AliasChange:
        known = aliases(self._models, self._model)
        move = AliasChange(
            moved_at=decision.at.astimezone(UTC),
            actor=decision.actor,
            model=self._model,
            alias=alias,
            from_version=known.get(alias),
            to_version=version,
            reason=decision.reason,
            forced=decision.forced,
            rollback=rollback,
        )
        alias_log.begin(self._models, move)
        content = Aliases(aliases={**known, alias: version}).model_dump_json(indent=2) + "\n"
        atomic_files.replace(self._models / self._model / ALIASES_FILE, content.encode())
        alias_log.settle(self._models, self._model)
        return move


def is_alias(name: str) -> bool:
    """Tell whether an alias may be named so."""
    return _NAME.fullmatch(name) is not None


@contextmanager
def holding_aliases(models: Path, model: str) -> Iterator[LockedAliases]:
    """Be the only one who moves aliases of a model, for as long as the block; what was interrupted is settled first.

    Raises:
        NotFoundError: there is no such model.
        RepositoryLockedError: another holds them for too long, or they cannot be written.
    """
    if not (_NAME.fullmatch(model) and (models / model).is_dir()):
        raise NotFoundError("model", model)
    with exclusive_lock(models / model):
        alias_log.settle(models, model)
        yield LockedAliases(models, model)


def move_alias(models: Path, model: str, alias: str, version: int, decision: AliasDecision) -> AliasChange | None:
    """Point an alias to a version that is there; see `LockedAliases.move`."""
    with holding_aliases(models, model) as held:
        return held.move(alias, version, decision)


def rollback(models: Path, model: str, alias: str, decision: AliasDecision) -> AliasChange:
    """Point an alias to the version that served before the present one; see `LockedAliases.roll_back`."""
    with holding_aliases(models, model) as held:
        return held.roll_back(alias, decision)
