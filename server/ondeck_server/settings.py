"""Settings of the server."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from ondeck_runtime.cpu_quota import cores
from ondeck_server.batching.batcher import ROWS_A_RUN
from ondeck_server.version_policy import FORM, rules_of
from ondeck_store.settings import StoreSettings


class ServerSettings(StoreSettings):
    """Where the models are, where to listen, and how much to take on."""

    models: Path = Field(default=Path("onnx_models"), description="folder of the model repository")
    host: str = Field(default="127.0.0.1", pattern=r"^\S+$", description="address to listen on; 0.0.0.0: every one")
    port: int = Field(default=50051, ge=0, le=65535, description="gRPC port; 0: any free one")
    admin_port: int = Field(default=8080, ge=0, le=65535, description="HTTP port of the admin pages; 0: any free one")
    transport: Literal["grpcio", "nghttp2"] = Field(
        default="nghttp2",
        description="what carries calls (nghttp2, grpcio); the second is the slower and the older one",
    )
    processes: int = Field(
        default_factory=cores, ge=1, le=1024, description="processes that answer calls; unset: one for each core"
    )
    notice_seconds: float = Field(
        default=1, ge=0, le=600, description="seconds between saying NOT_SERVING at shutdown and taking no more calls"
    )
    drain_seconds: float = Field(default=10, ge=0, le=600, description="seconds that calls in flight get at shutdown")
    max_message_mb: int = Field(default=16, ge=1, le=512, description="largest message taken, in MiB")
    max_streams: int = Field(
        default=1000, ge=1, le=1_000_000, description="calls that one connection may have open; more wait in the client"
    )
    window_kb: int = Field(
        default=256, ge=64, le=65536, description="KiB of a call that a client may send ahead of their being read"
    )
    keepalive_seconds: float = Field(
        default=120, ge=1, le=86400, description="seconds of silence after which a connection is pinged"
    )
    keepalive_timeout_seconds: float = Field(
        default=20,
        ge=0.1,
        le=3600,
        description="seconds without an answer to a ping after which a connection is closed",
    )
    ping_seconds: float = Field(
        default=10, ge=0, le=7200, description="least seconds between pings of a client; one in more haste is sent away"
    )
    connection_age_seconds: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="seconds after which a connection takes no more calls, so that clients spread anew; 0: no limit",
    )
    connection_grace_seconds: float = Field(
        default=0, ge=0, le=86400, description="seconds that calls then get to finish; 0: as many as they need"
    )
    connection_idle_seconds: float = Field(
        default=0,
        ge=0,
        le=86400,
        description="seconds without a call after which a connection is cut, even if one begins just then; 0: never",
    )
    compression: Literal["none", "gzip"] = Field(
        default="none", description="how answers are compressed (none, gzip); it costs more time than it saves nearby"
    )
    compression_kb: int = Field(
        default=64, ge=0, le=65536, description="KiB from which on an answer is compressed, where answers are"
    )
    tls_certificate: Path | None = Field(
        default=None, description="file of the server's certificate chain, PEM; unset: connections are not secured"
    )
    tls_key: Path | None = Field(default=None, description="file of the certificate's private key, PEM, no password")
    tls_client_ca: Path | None = Field(
        default=None, description="file of the authorities, PEM, one of which must have signed a client's certificate"
    )
    players_refresh_seconds: float = Field(
        default=300, gt=0, le=86400, description="seconds between two looks for new players in the database"
    )
    max_waiting_rows: int = Field(
        default=100_000, ge=ROWS_A_RUN, description="rows of one model that may wait for a run"
    )
    batch_budget_ms: float = Field(
        default=0, ge=0, le=1000, description="milliseconds that a row may wait for company; 0: it never waits"
    )
    versions: str = Field(default="latest:1", description=f"versions to load beside those with an alias: {FORM}")
    look_seconds: float = Field(
        default=10,
        gt=0,
        le=86400,
        description="seconds between two looks at the model repository that nobody asked for",
    )

    @field_validator("versions")
    @classmethod
    def _rules(cls, text: str) -> str:
        rules_of(text)
        return text

    rows_per_second_per_peer: float = Field(
        default=0,
        ge=0,
        description="rows a second that one caller, by identity or else address, may ask of one process; 0: no limit",
    )
    operators: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="identities, as client certificates show them, that may move aliases and load and unload models, "
        "separated by commas; unset: everyone may",
    )

    @field_validator("operators", mode="before")
    @classmethod
    def _separated(cls, operators: object) -> object:
        return [each.strip() for each in operators.split(",")] if isinstance(operators, str) else operators
