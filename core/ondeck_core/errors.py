"""Domain errors. The server maps them to gRPC status codes; the command line prints their text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_SHOWN_VIOLATIONS: Final = 5  # the message counts the rest
MAX_LISTED_NAMES: Final = 20  # the message counts the rest
MAX_NAME_LENGTH: Final = 80
MAX_TEXT_LENGTH: Final = 500
_FOLDERS: Final = re.compile(
    r"""(?<=')/(?:[^/'\n]+/)+(?=[^/'\n]+')|(?<=")/(?:[^/"\n]+/)+(?=[^/"\n]+")|(?<![\w.:/])/(?:[^\s/:'"]+/)+(?=[^\s/])"""
)


class OndeckError(Exception):
    """Base class of Ondeck's own errors; the message is written for the end user."""


@dataclass(frozen=True)
class Violation:
    """One invalid field: its path, and a description of the fault and of the valid values."""

    field: str
    description: str


class InvalidInstanceError(OndeckError):
    """Fields of a request are missing, not finite, out of range or contradictory."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        shown = [f"{each.field}: {each.description}" for each in self.violations[:MAX_SHOWN_VIOLATIONS]]
        more = len(self.violations) - len(shown)
        super().__init__("; ".join([*shown, *([f"and {more} more"] if more else [])]))


class WrongInstanceError(OndeckError):
    """The instance type does not match the task of the model."""

    def __init__(self, field: str, model: str, expected: str, got: str) -> None:
        self.violation = Violation(field, f"model {model!r} takes {expected}, got {got}")
        super().__init__(f"{field}: {self.violation.description}")


class NoTaskError(WrongInstanceError):
    """The model is an imported graph without a task; it accepts tensors, not instances."""

    def __init__(self, model: str) -> None:
        super().__init__("model.name", model, "tensors through the Open Inference Protocol only", "an instance")


class NotFoundError(OndeckError):
    """The model, version, alias or player does not exist; `known` lists the existing names, if there are few."""

    def __init__(self, kind: str, name: str, known: Sequence[str] | None = None) -> None:
        self.kind = kind
        self.name = name if len(name) <= MAX_NAME_LENGTH else f"{name[:MAX_NAME_LENGTH]}..."
        choices = "" if known is None else f"; available: {_join_names(known)}"
        super().__init__(f"no {kind.replace('_', ' ')} {self.name!r}{choices}")


class ModelNotLoadedError(OndeckError):
    """The version is in the repository but is not loaded."""

    def __init__(self, model: str, version: int, reason: str) -> None:
        self.model = model
        self.version = version
        super().__init__(f"{model} version {version} is not loaded: {reason}")


class RunTimeoutError(OndeckError):
    """The graph took longer for the rows of a call than a run may take."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the graph takes more than {seconds:g} seconds of CPU time for these rows; the run was ended")


class NotExplainableError(OndeckError):
    """The version has no background instances, so its predictions cannot be explained."""

    def __init__(self, model: str, version: int) -> None:
        self.model = model
        self.version = version
        super().__init__(
            f"{model} version {version} was published without a background, so its predictions cannot be explained"
        )


class PlayersNotLoadedError(OndeckError):
    """The player index is not loaded yet, or cannot be loaded."""


class ArtifactRefusedError(OndeckError):
    """The files of a version do not match its manifest."""


class SourceRefusedError(OndeckError):
    """A file or response is not a complete Statcast export; none of its rows are stored."""


def printable(text: str, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return a text of any origin for logs and responses: one line, printable characters, limited length."""
    shown = text[:max_length] + ("..." if len(text) > max_length else "")
    if shown.isprintable():
        return shown
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in shown)


def without_folders(text: str) -> str:
    """Return the text of another program's error with only the last part of each absolute path: callers see no disk."""
    return _FOLDERS.sub("", text)


def _join_names(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED_NAMES
    return ", ".join([*names[:MAX_LISTED_NAMES], *([f"and {more} more"] if more > 0 else [])]) or "none"
