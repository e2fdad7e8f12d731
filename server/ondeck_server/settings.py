"""Settings of the server."""

import json
import re
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from ondeck_runtime.cpu_quota import cpu_count
from ondeck_server.batching.batcher import INTERACTIVE_ROWS, MAX_BATCH_ROWS
from ondeck_server.models.reconciler import POLICY_FORMAT, parse_policy
from ondeck_store.settings import StoreSettings

_AGE_JITTER: Final = 1.1  # grpcio keeps a connection up to a tenth longer than its maximum age
_TARGET: Final = re.compile(r"\w+=https?://\S+")


class ServerSettings(StoreSettings):
    """Model repository, listeners, limits and workers of the server."""

    model_repository: Path = Field(default=Path("onnx_models"), description="folder of the model repository")
    host: str = Field(default="127.0.0.1", pattern=r"^\S+$", description="address to listen on; 0.0.0.0: all addresses")
    port: int = Field(default=50051, ge=0, le=65535, description="gRPC port; 0: any free port")
    admin_port: int = Field(default=8080, ge=0, le=65535, description="HTTP port of the admin pages; 0: any free port")
    admin_max_connections: int = Field(
        default=64, ge=2, le=10_000, description="connections to the admin port; one more closes the oldest"
    )
    admin_timeout_seconds: float = Field(
        default=15, ge=1, le=3600, description="seconds that a connection to the admin port may last, one request each"
    )
    transport: Literal["grpcio", "nghttp2"] = Field(
        default="nghttp2", description="HTTP/2 implementation of the server: nghttp2, or the slower reference grpcio"
    )
    workers: int = Field(
        default_factory=cpu_count,
        ge=1,
        le=1024,
        description="worker processes that serve calls; unset: one per CPU core",
    )
    worker_timeout_seconds: float = Field(
        default=5,
        ge=1,
        le=3600,
        description="seconds without a heartbeat after which a worker counts as hung, and is killed and replaced",
    )
    shutdown_delay_seconds: float = Field(
        default=1,
        ge=0,
        le=600,
        description="seconds between health NOT_SERVING and the end of accepting calls at shutdown",
    )
    drain_seconds: float = Field(default=10, ge=0, le=600, description="seconds that calls in flight get at shutdown")
    max_message_mib: int = Field(default=16, ge=1, le=512, description="largest message in either direction, in MiB")
    max_concurrent_streams: int = Field(
        default=1000, ge=1, le=1_000_000, description="concurrent calls per connection; the client queues the rest"
    )
    max_connections: int = Field(
        default=10_000, ge=1, le=1_000_000, description="connections of a worker; one more gets GOAWAY"
    )
    max_connections_per_address: int = Field(
        default=5_000, ge=1, le=1_000_000, description="connections of one address to a worker; one more gets GOAWAY"
    )
    max_calls: int = Field(
        default=20_000,
        ge=1,
        le=10_000_000,
        description="open calls of a worker; one more is not started, which clients may retry (REFUSED_STREAM)",
    )
    max_calls_per_address: int = Field(
        default=16_000, ge=1, le=10_000_000, description="open calls of one address in a worker, as above"
    )
    max_buffered_mib: int = Field(
        default=64,
        ge=1,
        le=1 << 20,
        description="unfinished requests and unread responses that a worker holds, in MiB; beyond it calls get "
        "RESOURCE_EXHAUSTED, and the connection that holds most is closed",
    )
    max_buffered_mib_per_address: int = Field(
        default=48, ge=1, le=1 << 20, description="the part of them that one address may hold, in MiB"
    )
    max_buffered_mib_per_connection: int = Field(
        default=32, ge=1, le=1 << 20, description="the part of them that one connection may hold, in MiB"
    )
    max_large_messages_mib: int = Field(
        default=64,
        ge=1,
        le=1 << 20,
        description="memory for requests above 64 KiB that a worker processes at once, in MiB, four times the size of "
        "each; others wait, unread; one may always run",
    )
    stream_window_kib: int = Field(
        default=256, ge=64, le=65536, description="HTTP/2 flow-control window of a stream, in KiB"
    )
    keepalive_seconds: float = Field(
        default=120, ge=1, le=86400, description="seconds without traffic after which a connection is pinged"
    )
    keepalive_timeout_seconds: float = Field(
        default=20,
        ge=0.1,
        le=3600,
        description="seconds without a ping acknowledgement after which a connection is closed",
    )
    min_ping_interval_seconds: float = Field(
        default=10,
        ge=0,
        le=7200,
        description="shortest interval between pings of a client; more frequent pings get GOAWAY `too_many_pings`",
    )
    request_timeout_seconds: float = Field(
        default=60,
        ge=0.1,
        le=3600,
        description="seconds that a client gets for its TLS handshake, for a frame, and for the request of a call that "
        "has only one; nghttp2 only, except for the handshake",
    )
    max_connection_age_seconds: float = Field(
        default=60,
        ge=0,
        le=86400,
        description="seconds after which a connection gets GOAWAY, so that clients rebalance; 0: no limit",
    )
    max_connection_age_grace_seconds: float = Field(
        default=0, ge=0, le=86400, description="seconds that calls get to finish after that GOAWAY; 0: no limit"
    )
    max_connection_idle_seconds: float = Field(
        default=0,
        ge=0,
        le=86400,
        description="seconds without a call after which a connection is closed (with grpcio even if a call begins at "
        "that moment); 0: never",
    )
    compression: Literal["none", "gzip"] = Field(
        default="none",
        description="compression of responses: none, gzip; on a fast network it costs more than it saves",
    )
    compression_threshold_kib: int = Field(
        default=64, ge=0, le=65536, description="smallest response that is compressed, in KiB, if compression is on"
    )
    tls_certificate: Path | None = Field(
        default=None, description="PEM file of the server's certificate chain; unset: plaintext connections"
    )
    tls_key: Path | None = Field(default=None, description="PEM file of the certificate's private key, no password")
    tls_client_ca: Path | None = Field(
        default=None, description="PEM file of the CAs that sign client certificates; set: clients must present one"
    )
    players_refresh_seconds: float = Field(
        default=300, gt=0, le=86400, description="seconds between reads of new players from the database"
    )
    max_queued_rows: int = Field(
        default=100_000,
        ge=INTERACTIVE_ROWS,
        description="rows of interactive calls to one model that may be queued in a worker",
    )
    max_queued_bulk_rows: int = Field(
        default=1_000_000,
        ge=MAX_BATCH_ROWS,
        description="rows of larger calls to one model that may be queued in a worker",
    )
    max_run_seconds: float = Field(
        default=5,
        ge=0.1,
        le=3600,
        description="CPU seconds that a run of a graph may take; a longer run is ended, and its call fails",
    )
    max_queue_delay_ms: float = Field(
        default=0, ge=0, le=1000, description="milliseconds a row may wait for a larger batch; 0: it never waits"
    )
    slow_call_seconds: float = Field(
        default=1,
        ge=0,
        le=3600,
        description="seconds after which a unary call is logged as `call_slow`, with its parts; 0: never",
    )
    version_policy: str = Field(
        default="latest:1", description=f"versions to load besides those with an alias: {POLICY_FORMAT}"
    )
    repository_poll_seconds: float = Field(
        default=10, gt=0, le=86400, description="seconds between polls of the model repository"
    )
    load_cpu_seconds: int = Field(
        default=10,
        ge=0,
        le=3600,
        description="CPU seconds that a version may take to load and warm up in a child process, before a worker "
        "loads it; 0: no child process, and the shipped graphs serve",
    )
    load_memory_mib: int = Field(
        default=4096, ge=64, le=1 << 20, description="memory that a version may take to load in a child process, in MiB"
    )
    optimize_graphs: bool = Field(
        default=True,
        description="whether the child process that tries a version also optimizes its graph; the result serves if it "
        "computes the same outputs as the shipped graph",
    )

    served_sample_rate: float = Field(
        default=0,
        ge=0,
        le=1,
        description="share of the predictions that are recorded in the database, from 0 to 1; 0 or no database: none",
    )
    served_retention_days: int = Field(
        default=90, ge=1, le=3650, description="days after which recorded predictions are dropped"
    )

    @field_validator("version_policy")
    @classmethod
    def _is_parsable(cls, text: str) -> str:
        parse_policy(text)
        return text

    alert_interval_seconds: float = Field(
        default=15, ge=0, le=60, description="seconds between two evaluations of the alert rules; 0: none are evaluated"
    )
    alert_webhook_url: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="URL to which alerts are sent, in the format of Alertmanager's webhooks; unset: they are only "
        "logged and shown",
    )
    alert_rules: Path | None = Field(
        default=None, description="file of Prometheus rules in place of those that `ondeck alerts rules` prints"
    )
    alert_targets: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="further programs whose metrics the alert rules read, as ingest=http://127.0.0.1:8081/metrics, "
        "separated by commas",
    )
    rate_limit_rows_per_second: float = Field(
        default=0,
        ge=0,
        description="rows per second that one caller (identity, else address) may request of one worker; 0: no limit",
    )
    operators: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="client certificate identities that may change aliases and load or unload models, separated by "
        'commas, or as JSON (["Acme, Inc"]); unset: every caller may',
    )

    @field_validator("operators", mode="before")
    @classmethod
    def _split(cls, operators: object) -> object:
        return _split_list(operators) if isinstance(operators, str) else operators

    @field_validator("alert_targets", mode="before")
    @classmethod
    def _split_targets(cls, targets: object) -> object:
        entries = [each.strip() for each in targets.split(",")] if isinstance(targets, str) else targets
        if not isinstance(entries, list | tuple) or not all(_TARGET.fullmatch(str(each)) for each in entries):
            raise ValueError("should be like ingest=http://127.0.0.1:8081/metrics, separated by commas")
        return entries

    @property
    def disconnect_timeout(self) -> float:
        """Seconds until every connection has reached its maximum age; 0 if there is no maximum."""
        return self.max_connection_age_seconds * _AGE_JITTER + 1 if self.max_connection_age_seconds else 0.0


def _split_list(text: str) -> list[str]:
    """Split names at commas, or read them from a JSON list; drops empty ones, as "" is a caller without identity.

    Raises:
        ValueError: it is no list of names, or has none.
    """
    try:
        entries = json.loads(text) if text.lstrip().startswith("[") else text.split(",")
    except ValueError:
        entries = [None]
    if not all(isinstance(entry, str) for entry in entries):
        raise ValueError('should be names separated by commas, or a JSON list such as ["Acme, Inc"]')
    names = [entry.strip() for entry in entries if entry.strip()]
    if not names:
        raise ValueError("should have at least one name; leave it unset to permit every caller")
    return names
