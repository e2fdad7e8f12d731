"""Settings of a program: read once, from flags and from environment variables ONDECK_<NAME>."""

from typing import Any, Final, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from ondeck_runtime.redaction import redact

PREFIX: Final = "ONDECK_"
DEFAULT_HOME: Final = ".ondeck"


class InvalidSettingsError(Exception):
    """One or more settings are invalid; the text has a line for each, with the variable and what is valid."""


class ProgramSettings(BaseSettings):
    """Base of every program's settings; each field is read from ONDECK_<NAME>.

    A field that may hold a secret has `repr=False`: its value appears in no error text.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)


S = TypeVar("S", bound=ProgramSettings)


def read_settings(kind: type[S], **flags: Any) -> S:  # noqa: ANN401  pydantic checks them
    """Read the settings of a program; flags that are not None override the environment.

    Raises:
        InvalidSettingsError: a value is invalid.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return kind(**given)
    except ValidationError as invalid:
        lines = [
            _error_line(kind, error["loc"], error["msg"].removeprefix("Value error, "), error["input"])
            for error in invalid.errors()
        ]
        raise InvalidSettingsError("\n".join(lines)) from None


def _error_line(kind: type[ProgramSettings], location: tuple[int | str, ...], text: str, value: object) -> str:
    name = str(location[0])
    field = kind.model_fields.get(name)
    description = f" ({field.description})" if field and field.description else ""
    shown = f"={redact(str(value))}" if field is None or field.repr else ""
    return f"{PREFIX}{name.upper()}{shown}: {text[0].lower()}{text[1:]}{description}"
