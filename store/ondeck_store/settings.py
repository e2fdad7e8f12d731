"""Settings that more than one program has, and the one way in which settings are read."""

from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from ondeck_core.errors import OndeckError

PREFIX = "ONDECK_"
URL_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
URL_PARAMETERS: Final = ("host", "port", "sslmode", "target_session_attrs")


class InvalidSettingsError(OndeckError):
    """One or more settings have values that cannot be; each is named with what would be right."""


class StoreSettings(BaseSettings):
    """Where the rows are. Base of every program's settings; each field is read from ONDECK_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(
        default=Path(".ondeck"), description="folder of the embedded database, the raw archive and the logs"
    )
    database_url: str | None = Field(
        default=None,
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
    def _can_be_read(cls, database_url: str | None) -> str | None:
        if database_url is not None:
            url_of(database_url)
        return database_url


def url_of(database_url: str) -> URL:
    """Read the address of a database as SQLAlchemy and asyncpg take it.

    Raises:
        ValueError: it is none; the text says what would be right, and holds nothing of the address.
    """
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


S = TypeVar("S", bound=StoreSettings)


def read_settings(kind: type[S], **flags: Any) -> S:  # noqa: ANN401  pydantic checks them
    """Read the settings of a program once: flags that are not None win over the environment.

    Raises:
        InvalidSettingsError: a value cannot be; the text names the variable and what would be right.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as refused:
        lines = [
            _complaint(kind, error["loc"], error["msg"].removeprefix("Value error, "), error["input"])
            for error in refused.errors()
        ]
        raise InvalidSettingsError("\n".join(lines)) from None


def _complaint(kind: type[StoreSettings], where: tuple[int | str, ...], text: str, value: object) -> str:
    name = str(where[0])
    meaning = kind.model_fields[name].description if name in kind.model_fields else None
    shown = "" if name == "database_url" else f"={value!s}"  # it may hold a password
    return f"{PREFIX}{name.upper()}{shown}: {text[0].lower()}{text[1:]}" + (f" ({meaning})" if meaning else "")
