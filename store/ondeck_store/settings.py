"""Settings of every program that opens the database."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field, field_validator

from ondeck_runtime.settings import ProgramSettings

if TYPE_CHECKING:
    from sqlalchemy import URL

URL_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
URL_PARAMETERS: Final = ("host", "port", "sslmode", "target_session_attrs")


class StoreSettings(ProgramSettings):
    """Home folder, and the PostgreSQL server with its connection pool."""

    home: Path = Field(
        default=Path(".ondeck"), description="folder of the embedded database, the raw archive and the logs"
    )
    database_url: str | None = Field(
        default=None,
        repr=False,  # it may hold a password
        description="PostgreSQL server, as postgresql://user@host/name; unset: the embedded one, in the home folder",
    )
    pool_size: int = Field(default=5, ge=1, le=100, description="size of the PostgreSQL connection pool")
    pool_timeout: float = Field(
        default=10, gt=0, le=300, description="seconds to wait for a free connection of the pool"
    )
    statement_timeout: float = Field(
        default=300, ge=0, le=86400, description="statement timeout, in seconds; 0: no limit"
    )

    @field_validator("database_url")
    @classmethod
    def _is_supported(cls, database_url: str | None) -> str | None:
        if database_url is not None:
            parse_url(database_url)
        return database_url


def parse_url(database_url: str) -> "URL":
    """Convert the URL of a database for SQLAlchemy and asyncpg.

    Raises:
        ValueError: it is invalid; the text shows the valid form, and no part of the URL, which may hold a password.
    """
    from sqlalchemy import make_url  # noqa: PLC0415  settings load without SQLAlchemy unless there is a database URL
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415  as above

    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError):
        raise ValueError("should look like postgresql://user@host:5432/name") from None
    if url.drivername not in URL_SCHEMES or not (url.host or url.query.get("host")):
        raise ValueError("should look like postgresql://user@host:5432/name")
    if unknown := sorted(set(url.query) - set(URL_PARAMETERS)):
        raise ValueError(f"has a parameter {unknown[0]!r}; known are {', '.join(URL_PARAMETERS)}")
    renamed = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=renamed)
