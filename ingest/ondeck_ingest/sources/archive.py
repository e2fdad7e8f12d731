"""The archive of raw responses, written before anything parses them.

`<home>/raw/<source>/<unit>/<sha256>.zst` holds each distinct response once; `fetched.jsonl` in the same folder has one
line per fetch.
"""

import hashlib
import json
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import zstandard

from ondeck_core.errors import OndeckError, SourceRefusedError

_SUFFIX: Final = ".zst"
_JOURNAL: Final = "fetched.jsonl"


class ArchiveWriteError(OndeckError):
    """A response cannot be archived and is therefore not ingested."""


@dataclass(frozen=True, kw_only=True)
class ArchivedResponse:
    """A file of the archive, and when its bytes were last fetched."""

    path: Path
    fetched_at: datetime


def put(home: Path, source: str, unit: str, content: bytes, fetched_at: datetime | None = None) -> str:
    """Archive a response and its time (default: now); returns its SHA-256.

    Safe under crashes and concurrent writers: a file is complete or absent.

    Raises:
        ArchiveWriteError: the folder is not writable.
    """
    digest = hashlib.sha256(content).hexdigest()
    folder = _folder(home, source, unit)
    fetch = {"sha256": digest, "bytes": len(content), "fetched_at": (fetched_at or datetime.now(UTC)).isoformat()}
    path = folder / (digest + _SUFFIX)
    try:
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            _write_atomically(path, zstandard.compress(content))
        with (folder / _JOURNAL).open("a") as journal:
            journal.write(json.dumps(fetch) + "\n")
    except OSError as failed:
        raise ArchiveWriteError(
            f"cannot archive the response in {folder} ({failed.strerror}), so it is not ingested; make the folder "
            "writable, or set another home folder with ONDECK_HOME or --home"
        ) from failed
    return digest


def list_versions(home: Path, source: str, unit: str) -> list[ArchivedResponse]:
    """List the archived responses of a unit, the last fetched first."""
    folder = _folder(home, source, unit)
    times = _read_journal(folder / _JOURNAL)
    found = [
        ArchivedResponse(path=path, fetched_at=times.get(path.stem, _modified_at(path)))
        for path in folder.glob("*" + _SUFFIX)
    ]
    return sorted(found, key=lambda each: each.fetched_at, reverse=True)


def list_units(home: Path, source: str) -> list[str]:
    """List the units of a source that have archived responses, sorted."""
    folder = home / "raw" / source
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def read_version(path: Path) -> bytes:
    """Read an archived response and check its digest.

    Raises:
        SourceRefusedError: the file is not readable, or its SHA-256 differs.
    """
    try:
        content = zstandard.decompress(path.read_bytes())
    except (OSError, zstandard.ZstdError) as broken:
        raise SourceRefusedError(f"its archived response cannot be read ({broken}): {path}") from broken
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise SourceRefusedError(f"its archived response does not match its SHA-256: {path}")
    return content


def _folder(home: Path, source: str, unit: str) -> Path:
    return home / "raw" / source / unit


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.with_suffix(f".{uuid.uuid4().hex}.part")
    with temporary.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def _read_journal(journal: Path) -> dict[str, datetime]:
    if not journal.is_file():
        return {}
    lines = (_parse_line(line) for line in journal.read_text().splitlines())
    return dict(each for each in lines if each is not None)


def _parse_line(line: str) -> tuple[str, datetime] | None:
    try:
        fetch = json.loads(line)
    except ValueError:  # a crash cut the line off
        return None
    return fetch["sha256"], datetime.fromisoformat(fetch["fetched_at"])


def _modified_at(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
