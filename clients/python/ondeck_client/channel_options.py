"""Channels and call options of both clients: retries of idempotent rpcs, deadlines, keepalive, load balancing, TLS."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypedDict

import grpc

from ondeck_client.channels import Attempts, is_loopback
from ondeck_client.correlation import CORRELATION_HEADER

MAX_MESSAGE_BYTES: Final = 64 << 20
DEFAULT_TIMEOUT: Final = 10.0
MAX_ATTEMPTS: Final = 4
FIRST_BACKOFF: Final = 0.1  # seconds before the second attempt

ChannelOptions = Sequence[tuple[str, Any]]

# Each rpc is listed by name: a new rpc, which may not be idempotent, is not retried until it is added here.
# StreamPredict is absent: the stream itself opens another call.
RETRYABLE: Final = {
    "ondeck.v1.PredictionService": ("Predict", "BatchPredict", "Explain"),
    "ondeck.v1.ModelService": ("ListModels", "GetModel", "ListAliasChanges"),
    "ondeck.v1.PlayerService": ("ResolvePlayers", "GetPlayer", "SearchPlayers"),
}

# Only UNAVAILABLE is retried: it alone states that another attempt may succeed. Throttling stops retries while most
# attempts fail.
_SERVICE_CONFIG: Final[dict[str, Any]] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": method} for service, methods in RETRYABLE.items() for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": MAX_ATTEMPTS,
                "initialBackoff": f"{FIRST_BACKOFF}s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

_CONNECTION: Final = (
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 300_000),  # by default, gRPC servers close connections that ping more often
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # despite its name, the timeout of one connection attempt
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
)


def service_config(health: str | None, attempts: Attempts = Attempts.ALL) -> str:
    """Return the service config as JSON; replicas must be healthy under the name `health`, None: no health check."""
    config: dict[str, Any] = json.loads(json.dumps(_SERVICE_CONFIG))
    retried = config["methodConfig"][0]
    if attempts is Attempts.FIRST:
        del retried["retryPolicy"]
    elif attempts is Attempts.LATER:
        retried["retryPolicy"] |= {"maxAttempts": MAX_ATTEMPTS - 1, "initialBackoff": f"{2 * FIRST_BACKOFF}s"}
    checked = {} if health is None else {"healthCheckConfig": {"serviceName": health}}
    return json.dumps(config | checked)


def channel_options(
    target: str,
    max_message_bytes: int,
    health: str | None,
    extra: ChannelOptions,
    attempts: Attempts = Attempts.ALL,
) -> list[tuple[str, Any]]:
    """Return the channel options of both clients; `extra` comes last, and so takes precedence.

    A target on this machine is never called through a proxy of the environment, which could not reach it.
    """
    return [
        ("grpc.service_config", service_config(health, attempts)),
        ("grpc.enable_http_proxy", int(not is_loopback(target))),
        *_CONNECTION,
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        *extra,
    ]


def tls(
    ca: Path | str | None = None, certificate: Path | str | None = None, key: Path | str | None = None
) -> grpc.ChannelCredentials:
    """Return TLS credentials from PEM files.

    Args:
        ca: CA certificates that verify the server's certificate; None: the default ones of gRPC.
        certificate: client certificate chain, for a server that requires one.
        key: private key of the client certificate, without a password.

    Raises:
        OSError: a file cannot be read.
        ValueError: a certificate without its key, or a key without its certificate.
    """
    if (certificate is None) != (key is None):
        raise ValueError("a certificate needs its key, and a key its certificate")
    contents = [None if path is None else Path(path).read_bytes() for path in (ca, key, certificate)]
    return grpc.ssl_channel_credentials(*contents)


class CallOptions(TypedDict):
    """Keyword arguments of each gRPC call."""

    timeout: float | None
    wait_for_ready: bool
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class CallDefaults:
    """Options of calls that do not override them; `timeout` in seconds."""

    timeout: float
    wait_for_ready: bool

    def seconds(self, timeout: float | None) -> float:
        """Return the deadline of a unary call: it always has one."""
        return self.timeout if timeout is None else timeout

    def of_call(self, timeout: float | None, correlation_id: str) -> CallOptions:
        """Return the options of a unary call."""
        return self._options(self.seconds(timeout), correlation_id)

    def of_stream(self, timeout: float | None, correlation_id: str) -> CallOptions:
        """Return the options of a stream: it has a deadline only if the caller sets one."""
        return self._options(timeout, correlation_id)

    def _options(self, timeout: float | None, correlation_id: str) -> CallOptions:
        metadata = ((CORRELATION_HEADER, correlation_id),)
        return CallOptions(timeout=timeout, wait_for_ready=self.wait_for_ready, metadata=metadata)
