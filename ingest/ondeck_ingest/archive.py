"""The archive: raw bytes as they came, kept before anything reads them."""

import hashlib
from pathlib import Path

import zstandard


def keep(home: Path, source: str, unit: str, content: bytes) -> str:
    """Keep bytes under `<home>/raw/<source>/<unit>/<sha256>.zst`, once; returns their SHA-256."""
    digest = hashlib.sha256(content).hexdigest()
    path = home / "raw" / source / unit / f"{digest}.zst"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".part")
        fresh.write_bytes(zstandard.compress(content))
        fresh.replace(path)
    return digest


def read_back(path: Path) -> bytes:
    """Read what was kept."""
    return zstandard.decompress(path.read_bytes())
