"""Settings of every program that opens the database."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field, field_validator

from ondeck_runtime.settings import DEFAULT_HOME, ProgramSettings

if TYPE_CHECKING:
    from sqlalchemy import URL

URL_SCHEMES: Final = ("postgresql", "postgres", "postgresql+asyncpg")
URL_PARAMETERS: Final = ("host", "port", "sslmode", "target_session_attrs")
DEFAULT_PORT: Final = 5432
_LIBPQ_PARAMETERS: Final = frozenset(
    [
        "application_name",
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "dbname",
        "gssencmode",
        "hostaddr",
        "keepalives",
        "options",
        "passfile",
        "password",
        "require_auth",
        "service",
        "sslcert",
        "sslcompression",
        "sslcrl",
        "sslkey",
        "sslpassword",
        "sslrootcert",
        "user",
    ]
)
_FORM: Final = "should look like postgresql://user@host:5432/name"
_HOST: Final = re.compile(r"[\w.:%-]+")
_FOLDER_SEPARATOR: Final = re.compile(r",(?=/)")
CONNECT_SECONDS: Final = 10
SESSION: Final = {
    "application_name": "ondeck",
    "jit": "off",
    "lock_timeout": "60s",
    "idle_in_transaction_session_timeout": "300s",
}  # of every session of PostgreSQL, beside the statement timeout


class StoreSettings(ProgramSettings):
    """Home folder, and the PostgreSQL server with its connection pool."""

    home: Path = Field(
        default=Path(DEFAULT_HOME), description="folder of the embedded database, the raw archive and the logs"
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
    otlp_endpoint: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="endpoint of OTLP over HTTP that gets traces, as http://127.0.0.1:4318; unset: no traces",
    )
    slow_statement_seconds: float = Field(
        default=1,
        ge=0,
        le=86400,
        description="seconds after which a statement is logged as `statement_slow`; 0: never",
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
        raise ValueError(_FORM) from None
    if url.drivername not in URL_SCHEMES or not (url.host or url.query.get("host")):
        raise ValueError(_FORM)
    if (url.host and not _HOST.fullmatch(url.host)) or "@" in (url.database or ""):  # they have a part of a password
        raise ValueError(f"{_FORM}, with @ as %40 and / as %2F in a password")
    if unknown := sorted(set(url.query) - set(URL_PARAMETERS)):
        name = f"the parameter {unknown[0]!r}" if unknown[0] in _LIBPQ_PARAMETERS else "an unknown parameter"
        raise ValueError(f"has {name}; known are {', '.join(URL_PARAMETERS)}")
    hosts_of(url)
    renamed = {"ssl" if name == "sslmode" else name: value for name, value in url.query.items()}
    return url.set(drivername="postgresql+asyncpg", query=renamed)


def hosts_of(url: "URL") -> list[tuple[str, int]]:
    """Return the hosts and ports in the query of a URL; a host that begins with / is the folder of a socket.

    `host` and `port` may be repeated. Commas separate hosts as well; one inside a folder's path is part of it.

    Raises:
        ValueError: the ports are no numbers, or not one for all or one for each host.
    """
    hosts = [host for value in _values(url, "host") for host in _split_hosts(value)]
    ports = [port for value in _values(url, "port") for port in value.split(",")]
    if not ports:
        pairs = [(host, "") if host.startswith("/") else _split_port(host) for host in hosts]
        hosts, ports = [host for host, _ in pairs], [port or str(url.port or DEFAULT_PORT) for _, port in pairs]
    if hosts and len(ports) not in {1, len(hosts)}:
        raise ValueError(f"has {len(hosts)} hosts and {len(ports)} ports")
    if not all(port.isdecimal() for port in ports):
        raise ValueError("has a port that is no number")
    return list(zip(hosts, map(int, ports if len(ports) > 1 else ports * len(hosts)), strict=True))


def _split_hosts(value: str) -> list[str]:
    return _FOLDER_SEPARATOR.split(value) if value.startswith("/") else value.split(",")


def _split_port(host: str) -> tuple[str, str]:
    name, _, port = host.rpartition(":")
    return (name, port) if name and (":" not in name or name.endswith("]")) else (host, "")


def _values(url: "URL", name: str) -> tuple[str, ...]:
    value = url.query.get(name, ())
    return (value,) if isinstance(value, str) else tuple(value)
