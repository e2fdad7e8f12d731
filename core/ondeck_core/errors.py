"""What can go wrong, as it happened: nothing here knows how a caller will be told."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SAID: Final = 5  # of many things that are wrong; the others are counted
LISTED: Final = 20  # of many names that there are
LONGEST_NAME: Final = 80


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
        said = [f"{each.field}: {each.description}" for each in self.violations[:SAID]]
        more = len(self.violations) - len(said)
        super().__init__("; ".join([*said, *([f"and {more} more"] if more else [])]))


class WrongInstanceError(OndeckError):
    """The instance is not of the type that the model's task takes."""

    def __init__(self, field: str, model: str, expected: str, got: str) -> None:
        self.violation = Violation(field, f"model {model!r} takes {expected}, got {got}")
        super().__init__(f"{field}: {self.violation.description}")


class NoTaskError(WrongInstanceError):
    """The model is a graph that no task of ours knows, so instances mean nothing to it."""

    def __init__(self, model: str) -> None:
        super().__init__(
            "model.name", model, "tensors, and is served through the Open Inference Protocol alone", "an instance"
        )


class NotFoundError(OndeckError):
    """No such model, version, alias or player; `known` lists those that there are, unless they are too many."""

    def __init__(self, kind: str, name: str, known: Sequence[str] | None = None) -> None:
        self.kind = kind
        self.name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
        choices = "" if known is None else f"; there are: {_listed(known)}"
        super().__init__(f"no {kind.replace('_', ' ')} {self.name!r}{choices}")


class ModelNotLoadedError(OndeckError):
    """The version is in the repository, and is not loaded."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} version {version} is not loaded: {reason}")


class NotExplainableError(OndeckError):
    """The version answers, and cannot explain: nothing lies in it beside which an answer could be explained."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(
            f"{model} version {version} was published without a background, and cannot explain its answers"
        )


class PlayersNotLoadedError(OndeckError):
    """Who the players are has not been read yet, or cannot be."""


class ArtifactRefusedError(OndeckError):
    """A version does not hold what its manifest claims."""


class SourceRefusedError(OndeckError):
    """A file or an answer is not a Statcast export, or not a whole one; nothing of it was taken."""


def _listed(names: Sequence[str]) -> str:
    more = len(names) - LISTED
    return ", ".join([*names[:LISTED], *([f"and {more} more"] if more > 0 else [])]) or "none"
