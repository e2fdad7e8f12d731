"""Moves of aliases as they are recorded, and what follows from a record: values in, value out."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from ondeck_core.manifest import Name

ALIAS_LOG_FORMAT: Final = 2


class AliasChange(BaseModel):
    """One line of the audit: an alias went from one version to another (`from_version` null: it was new).

    `forced`: against a gate's verdict. `rollback`: back to the version that served before; else forward. A later
    release may add to it, so what is unknown is passed over.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(default_factory=lambda: uuid4().hex)
    format: Literal[2] = ALIAS_LOG_FORMAT
    moved_at: AwareDatetime
    actor: str
    model: Name
    alias: Name
    from_version: int | None
    to_version: int
    reason: str
    forced: bool = False
    rollback: bool = False


def line_of(move: AliasChange) -> bytes:
    """Write a move as its line in the audit."""
    return move.model_dump_json().encode() + b"\n"


def took_place(move: AliasChange, aliases: Mapping[str, int]) -> bool:
    """Tell whether a move that was begun has reached the aliases: each leads to another version than before."""
    return aliases.get(move.alias) == move.to_version


def lacking(recorded: bytes, line: bytes) -> bytes:
    """Tell what is to be appended for a line to be in the record, once and whole; a part of it may be there already."""
    if line in recorded:
        return b""
    begun = recorded.rpartition(b"\n")[2]
    return line.removeprefix(begun) if line.startswith(begun) else b"\n" + line


def served(moves: Iterable[AliasChange], alias: str, current: int) -> list[int]:
    """Follow an alias through its moves: the versions that a rollback would find, the last of them `current`.

    A move forward adds to them and a rollback takes the last away, as undo does. What was changed by hand, between
    two moves or after them, counts as a move forward.
    """
    standing: list[int] = []
    for move in (each for each in moves if each.alias == alias):
        if move.from_version is not None:
            _stand(standing, move.from_version)
        if move.rollback:
            del standing[-1:]
        _stand(standing, move.to_version)
    _stand(standing, current)
    return standing


def _stand(standing: list[int], version: int) -> None:
    if standing[-1:] != [version]:
        standing.append(version)
