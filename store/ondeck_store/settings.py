"""Settings that more than one program has, and the one way in which settings are read."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ondeck_core.errors import OndeckError

PREFIX = "ONDECK_"


class SettingsRefusedError(OndeckError):
    """One or more settings have values that cannot be; each is named with what would be right."""


class StoreSettings(BaseSettings):
    """Where the rows are. Base of every program's settings; each field is read from ONDECK_<NAME>."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    home: Path = Field(
        default=Path(".ondeck"), description="folder of the embedded database, the raw archive and the logs"
    )
    database_url: str | None = Field(
        default=None,
        pattern=r"^postgresql(\+asyncpg)?://.+",
        description="a PostgreSQL server, as postgresql://user@host/name; unset: the embedded one, in the home folder",
    )
    pool_size: int = Field(default=5, ge=1, le=100, description="connections kept open to PostgreSQL")
    pool_timeout: float = Field(default=10, gt=0, le=300, description="seconds to wait for a free connection")
    statement_timeout: float = Field(
        default=300, ge=0, le=86400, description="seconds a statement may take; 0: no limit"
    )


S = TypeVar("S", bound=StoreSettings)


def read_settings(kind: type[S], **flags: Any) -> S:  # noqa: ANN401  pydantic checks them
    """Read the settings of a program once: flags that are not None win over the environment.

    Raises:
        SettingsRefusedError: a value cannot be; the text names the variable and what would be right.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as refused:
        lines = [_complaint(kind, error["loc"], error["msg"], error["input"]) for error in refused.errors()]
        raise SettingsRefusedError("\n".join(lines)) from None


def _complaint(kind: type[StoreSettings], where: tuple[int | str, ...], text: str, value: object) -> str:
    name = str(where[0])
    meaning = kind.model_fields[name].description if name in kind.model_fields else None
    shown = "" if name == "database_url" else f"={value!s}"  # it may hold a password
    return f"{PREFIX}{name.upper()}{shown}: {text[0].lower()}{text[1:]}" + (f" ({meaning})" if meaning else "")
