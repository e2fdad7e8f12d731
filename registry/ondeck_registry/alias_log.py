"""The log of every alias change: append-only, and complete even after a crash.

A change is written in three steps: a file with the pending change is written next to `aliases.json`, `aliases.json` is
replaced, the change is appended to the log and the pending file removed. A pending file that is found later belongs to
an interrupted change: it took place if `aliases.json` shows it. Its line is then appended or completed, and readers
include it even before that.
"""

import getpass
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ondeck_core.errors import ArtifactRefusedError
from ondeck_core.manifest import Name, VersionNumber
from ondeck_registry import atomic_files
from ondeck_registry.file_reader import MIB, MissingFileError, read_file
from ondeck_registry.repository import aliases

ALIAS_LOG_FORMAT: Final = 2
ALIAS_LOG_FILE: Final = "aliases.log.jsonl"
PENDING_FILE: Final = ".aliases.move.json"
MAX_LOG_BYTES: Final = 256 * MIB


class AliasChange(BaseModel):
    """One line of the log: an alias was moved from one version to another (`from_version` null: the alias is new).

    `forced`: the gate's verdict was overridden. `rollback`: back to the version before. Unknown keys are ignored, since
    a later release may add some.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(default_factory=lambda: uuid4().hex)
    format: Literal[2] = ALIAS_LOG_FORMAT
    moved_at: AwareDatetime
    actor: str
    model: Name
    alias: Name
    from_version: VersionNumber | None
    to_version: VersionNumber
    reason: str
    forced: bool = False
    rollback: bool = False


def history(models: Path, model: str) -> tuple[AliasChange, ...]:
    """Read every alias change of a model, the oldest first.

    Raises:
        ArtifactRefusedError: the log cannot be read; the text names the line.
    """
    pending = _read_applied_pending(models, model)  # read before the log: a change that completes now is in both
    path = models / model / ALIAS_LOG_FILE
    logged = _content(path)
    complete = logged + (missing_bytes(logged, pending) if pending else b"")
    lines = enumerate(complete.splitlines(), 1)
    return tuple(_parse(line, f"{path}, line {number}") for number, line in lines if line)


def write_pending(models: Path, change: AliasChange) -> None:
    """Write the file of a change that is about to be made."""
    atomic_files.replace(models / change.model / PENDING_FILE, encode_line(change))


def complete_pending(models: Path, model: str) -> None:
    """Complete a pending change, of this process or of one that died: log it if it was applied, remove its file."""
    folder = models / model
    if line := _read_applied_pending(models, model):
        atomic_files.append(folder / ALIAS_LOG_FILE, missing_bytes(_content(folder / ALIAS_LOG_FILE), line))
    if (folder / PENDING_FILE).is_file():
        atomic_files.remove(folder / PENDING_FILE)


def encode_line(change: AliasChange) -> bytes:
    """Encode a change as a line of the log."""
    return change.model_dump_json().encode() + b"\n"


def missing_bytes(logged: bytes, line: bytes) -> bytes:
    """Return what to append so that the log has a line once and complete; the log may end with a part of it."""
    if line in logged:
        return b""
    partial = logged.rpartition(b"\n")[2]
    return line.removeprefix(partial) if line.startswith(partial) else b"\n" + line


def rollback_stack(changes: Iterable[AliasChange], alias: str, current: int) -> list[int]:
    """Return the versions that successive rollbacks of an alias restore, as a stack; its top is `current`.

    A move pushes a version and a rollback pops one, as undo does. An edit of the file outside of this program, between
    two changes or after the last, counts as a move.
    """
    stack: list[int] = []
    for change in (each for each in changes if each.alias == alias):
        if change.from_version is not None:
            _push(stack, change.from_version)
        if change.rollback:
            del stack[-1:]
        _push(stack, change.to_version)
    _push(stack, current)
    return stack


def login_name() -> str:
    """Return the login name of the user who runs this program, or the user id if the system has no name for it."""
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):
        return f"user {os.getuid()}, without a login name"


def _push(stack: list[int], version: int) -> None:
    if stack[-1:] != [version]:
        stack.append(version)


def _read_applied_pending(models: Path, model: str) -> bytes:
    """Read the line of the pending change if `aliases.json` shows that it was applied."""
    path = models / model / PENDING_FILE
    line = _content(path)
    if not line:
        return b""
    change = _parse(line, str(path))
    return line if aliases(models, model).get(change.alias) == change.to_version else b""


def _content(path: Path) -> bytes:
    try:
        return read_file(path, MAX_LOG_BYTES)
    except MissingFileError:
        return b""


def _parse(line: bytes, where: str) -> AliasChange:
    try:
        return AliasChange.model_validate_json(line)
    except ValidationError as invalid:
        text = f"{where} is not an alias change: {invalid.errors()[0]['msg']}"
        raise ArtifactRefusedError(f"{text}; a log of an older format is migrated by: ondeck models migrate") from None
