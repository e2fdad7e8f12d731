"""The archive: raw bytes as they came, kept before anything reads them.

`<home>/raw/<source>/<unit>/<sha256>.zst` holds the bytes, once; `fetched.jsonl` beside them has a line for each time
that they came.
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

_ENDING: Final = ".zst"
_JOURNAL: Final = "fetched.jsonl"


class ArchiveWriteError(OndeckError):
    """Bytes came and cannot be kept, so that they are not read either."""


@dataclass(frozen=True, kw_only=True)
class ArchivedResponse:
    """Bytes in the archive, and when they came last."""

    path: Path
    fetched_at: datetime


def keep(home: Path, source: str, unit: str, content: bytes, fetched_at: datetime | None = None) -> str:
    """Keep bytes for good, and when they came (default: now); returns their SHA-256.

    A crash leaves them whole or absent, and others may keep the same at the same time.

    Raises:
        ArchiveWriteError: the folder cannot be written to.
    """
    digest = hashlib.sha256(content).hexdigest()
    folder = _folder(home, source, unit)
    came = {"sha256": digest, "bytes": len(content), "fetched_at": (fetched_at or datetime.now(UTC)).isoformat()}
    try:
        _keep(folder, digest, content)
        _note(folder, came)
    except OSError as refused:
        raise ArchiveWriteError(
            f"what comes cannot be kept in {folder} ({refused.strerror}), and is not taken without that; make it "
            "writable, or name another home folder with ONDECK_HOME or --home"
        ) from refused
    return digest


def kept(home: Path, source: str, unit: str) -> list[ArchivedResponse]:
    """List what is kept of a unit, what came last first."""
    folder = _folder(home, source, unit)
    times = _times(folder / _JOURNAL)
    found = [
        ArchivedResponse(path=path, fetched_at=times.get(path.stem, _written(path)))
        for path in folder.glob("*" + _ENDING)
    ]
    return sorted(found, key=lambda each: each.fetched_at, reverse=True)


def kept_units(home: Path, source: str) -> list[str]:
    """Name the units of a source of which something is kept, in order."""
    folder = home / "raw" / source
    return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def read_back(path: Path) -> bytes:
    """Read what was kept.

    Raises:
        SourceRefusedError: it cannot be read, or is not what came.
    """
    try:
        content = zstandard.decompress(path.read_bytes())
    except (OSError, zstandard.ZstdError) as broken:
        raise SourceRefusedError(f"what is kept of it cannot be read ({broken}): {path}") from broken
    if hashlib.sha256(content).hexdigest() != path.stem:
        raise SourceRefusedError(f"what is kept of it is not what came, by its SHA-256: {path}")
    return content


def _folder(home: Path, source: str, unit: str) -> Path:
    return home / "raw" / source / unit


def _keep(folder: Path, digest: str, content: bytes) -> None:
    path = folder / (digest + _ENDING)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write_whole(path, zstandard.compress(content))


def _write_whole(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(f".{uuid.uuid4().hex}.part")
    with fresh.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def _note(folder: Path, came: dict[str, object]) -> None:
    with (folder / _JOURNAL).open("a") as journal:
        journal.write(json.dumps(came) + "\n")


def _times(journal: Path) -> dict[str, datetime]:
    if not journal.is_file():
        return {}
    lines = (_came(line) for line in journal.read_text().splitlines())
    return dict(each for each in lines if each is not None)


def _came(line: str) -> tuple[str, datetime] | None:
    try:
        came = json.loads(line)
    except ValueError:  # the end of a line that a crash cut off
        return None
    return came["sha256"], datetime.fromisoformat(came["fetched_at"])


def _written(path: Path) -> datetime:
    return datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
