"""What can go wrong, as it happened: nothing here knows how a caller will be told."""

from collections.abc import Sequence
from dataclasses import dataclass


class OndeckError(Exception):
    """Whatever Ondeck itself refuses or cannot do; its text is written for the person who reads it."""


@dataclass(frozen=True)
class Violation:
    """One field that cannot be taken: its path, and what is wrong and would be right."""

    field: str
    description: str


class InvalidInstanceError(OndeckError):
    """Fields of a request are missing, not finite, out of range or contradict each other."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.field}: {v.description}" for v in self.violations))


class WrongInstanceError(OndeckError):
    """The instance is not of the type that the model's task takes."""

    def __init__(self, field: str, model: str, expected: str, got: str) -> None:
        self.violation = Violation(field, f"model {model!r} takes {expected}, got {got}")
        super().__init__(f"{field}: {self.violation.description}")


class NotFoundError(OndeckError):
    """No such model, version, alias or player; `known` lists those that there are, unless they are too many."""

    def __init__(self, kind: str, name: str, known: Sequence[str] | None = None) -> None:
        self.kind = kind
        self.name = name
        choices = "" if known is None else f"; there are: {', '.join(known) or 'none'}"
        super().__init__(f"no {kind.replace('_', ' ')} {name!r}{choices}")


class ModelNotLoadedError(OndeckError):
    """The version is in the repository, and is not loaded."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} version {version} is not loaded: {reason}")


class PlayersNotLoadedError(OndeckError):
    """Who the players are has not been read yet, or cannot be."""


class ArtifactRefusedError(OndeckError):
    """A version does not hold what its manifest claims."""


class SourceRefusedError(OndeckError):
    """A file or an answer is not a Statcast export, or not a whole one; nothing of it was taken."""
