"""Alias changes: one writer at a time, to a published version, and each with a line in the log."""

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
from ondeck_registry.alias_log import AliasChange
from ondeck_registry.atomic_files import RepositoryLockedError
from ondeck_registry.repository import aliases, versions

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


class AliasChangeError(OndeckError):
    """An alias change is not possible; the alias points to the same version as before."""


@dataclass(frozen=True, kw_only=True)
class AliasDecision:
    """Who changes an alias, why and when, and whether the gate is overridden; actor and reason are required."""

    actor: str
    reason: str
    at: datetime
    forced: bool = False

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or not self.actor.strip() or not self.reason.strip():
            raise ValueError(f"a decision has an actor, a reason and an aware time, not {self}")


class LockedAliases:
    """The aliases of one model while this process holds its lock: read them, decide, change them."""

    def __init__(self, models: Path, model: str) -> None:
        self._models = models
        self._model = model

    def current(self, alias: str) -> int | None:
        """Return the version that an alias points to; None: there is no such alias."""
        return aliases(self._models, self._model).get(alias)

    def previous(self, alias: str) -> int:
        """Return the version that a rollback of an alias restores.

        Raises:
            NotFoundError: there is no such alias.
            AliasChangeError: there is no previous version, or it was removed.
        """
        known = aliases(self._models, self._model)
        if alias not in known:
            raise NotFoundError("alias", f"{self._model}@{alias}", sorted(known))
        changes = alias_log.history(self._models, self._model)
        *earlier, current = alias_log.rollback_stack(changes, alias, known[alias])
        if not earlier:
            raise AliasChangeError(f"{self._model}: no version is on record as {alias} before version {current}")
        previous = earlier[-1]
        if previous not in versions(self._models, self._model):
            raise AliasChangeError(
                f"{self._model}: version {previous}, which was {alias} before version {current}, no longer exists; "
                "promote one that does"
            )
        return previous

    def move(self, alias: str, version: int, decision: AliasDecision) -> AliasChange | None:
        """Point an alias to a version; None: it already points there, and nothing is logged.

        Raises:
            NotFoundError: there is no such version.
            AliasChangeError: the alias has an invalid name.
        """
        if not is_alias(alias):
            raise AliasChangeError(f"invalid alias {alias!r}: use lower-case letters, digits and _")
        published = versions(self._models, self._model)
        if version not in published:
            raise NotFoundError("version", f"{self._model}/{version}", [str(known) for known in published])
        return None if self.current(alias) == version else self._change(alias, version, decision, rollback=False)

    def roll_back(self, alias: str, decision: AliasDecision) -> AliasChange:
        """Point an alias to the version that it pointed to before; errors as `previous`."""
        return self._change(alias, self.previous(alias), decision, rollback=True)

    def _change(self, alias: str, version: int, decision: AliasDecision, *, rollback: bool) -> AliasChange:
        known = aliases(self._models, self._model)
        change = AliasChange(
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
        content = Aliases(aliases={**known, alias: version}).model_dump_json(indent=2) + "\n"
        try:
            alias_log.write_pending(self._models, change)
            atomic_files.replace(self._models / self._model / ALIASES_FILE, content.encode())
            alias_log.complete_pending(self._models, self._model)
        except OSError as failed:
            raise RepositoryLockedError(
                f"the aliases of {self._model} cannot be written: {failed.strerror}"
            ) from failed
        return change


def is_alias(name: str) -> bool:
    """Return whether a name is valid for an alias."""
    return _NAME.fullmatch(name) is not None


@contextmanager
def lock_aliases(models: Path, model: str) -> Iterator[LockedAliases]:
    """Hold the lock of a model's aliases within the block; first complete an interrupted change.

    Raises:
        NotFoundError: there is no such model.
        RepositoryLockedError: another process holds the lock for too long, or the folder is read-only.
    """
    if not (_NAME.fullmatch(model) and (models / model).is_dir()):
        raise NotFoundError("model", model)
    with atomic_files.exclusive_lock(models / model):
        alias_log.complete_pending(models, model)
        yield LockedAliases(models, model)


def move_alias(models: Path, model: str, alias: str, version: int, decision: AliasDecision) -> AliasChange | None:
    """Point an alias to a published version, without a gate; see `LockedAliases.move`."""
    with lock_aliases(models, model) as locked:
        return locked.move(alias, version, decision)


def roll_back_alias(models: Path, model: str, alias: str, decision: AliasDecision) -> AliasChange:
    """Point an alias to the version that it pointed to before; see `LockedAliases.roll_back`."""
    with lock_aliases(models, model) as locked:
        return locked.roll_back(alias, decision)
