"""The record of every move of an alias: appended to, never rewritten, and true also after a crash.

A move is begun by a note of it beside `aliases.json`, then `aliases.json` is replaced, then the note's line is appended
to the record and the note removed. Whoever finds a note finds a move that was interrupted: `aliases.json` tells whether
it took place; if so, its line is appended or completed, and counts for readers even before that is done.
"""

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from ondeck_core.errors import ArtifactRefusedError
from ondeck_registry import atomic_files
from ondeck_registry.alias_events import AliasChange, lacking, line_of, took_place
from ondeck_registry.repository import aliases

AUDIT_FILE: Final = "aliases.log.jsonl"
NOTE_FILE: Final = ".aliases.move.json"


def history(models: Path, model: str) -> tuple[AliasChange, ...]:
    """Read every move that took place, the oldest first.

    Raises:
        ArtifactRefusedError: the record cannot be read; the text names the line.
    """
    missing = _owed(models, model)  # before the record: a move that ends meanwhile is in both, and told once
    path = models / model / AUDIT_FILE
    recorded = _content(path)
    whole = recorded + (lacking(recorded, missing) if missing else b"")
    lines = enumerate(whole.splitlines(), 1)
    return tuple(_parsed(line, f"{path}, line {number}") for number, line in lines if line)


def begin(models: Path, move: AliasChange) -> None:
    """Note a move that is about to be made."""
    atomic_files.replace(models / move.model / NOTE_FILE, line_of(move))


def settle(models: Path, model: str) -> None:
    """End the move that is noted, be it one's own or that of a program that died: record it if it took place."""
    folder = models / model
    if line := _owed(models, model):
        atomic_files.append(folder / AUDIT_FILE, lacking(_content(folder / AUDIT_FILE), line))
    if (folder / NOTE_FILE).is_file():
        atomic_files.remove(folder / NOTE_FILE)


def _owed(models: Path, model: str) -> bytes:
    """Read the line that the record must have: that of the move that is noted, if it took place."""
    path = models / model / NOTE_FILE
    line = _content(path)
    return line if line and took_place(_parsed(line, str(path)), aliases(models, model)) else b""


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _parsed(line: bytes, where: str) -> AliasChange:
    try:
        return AliasChange.model_validate_json(line)
    except ValidationError as wrong:
        told = f"{where} is no move of an alias: {wrong.errors()[0]['msg']}"
        raise ArtifactRefusedError(f"{told}; a log of an older format is migrated by: ondeck models migrate") from None
