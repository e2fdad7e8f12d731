"""The schema revisions of this release and of a database, compared without Alembic: importing it takes longer."""

from pathlib import Path
from typing import Final

import asyncpg

VERSIONS: Final = Path(__file__).parent / "migrations" / "versions"
_DIGITS: Final = "[0-9]" * 4  # of a revision: the name of its file begins with it


async def has_current_schema(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    """Return whether the newest migration of this release is the last one that was applied."""
    newest = max(path.stem for path in VERSIONS.glob(f"{_DIGITS}_*.py"))
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return False
    stored = await connection.fetchval("SELECT version_num FROM alembic_version")
    return newest.startswith(f"{stored}_")
