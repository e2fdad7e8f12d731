"""How the clients connect and call: retries where they are safe, deadlines always, connections kept and spread."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

MAX_MESSAGE_BYTES: Final = 64 << 20
DEFAULT_TIMEOUT: Final = 10.0
TRIES: Final = 4

ChannelOptions = Sequence[tuple[str, Any]]

# Each rpc is named: one that is added later, and may change something, is not repeated until somebody says that it may
# be. StreamPredict is not here: a stream opens itself again.
REPEATABLE: Final = {
    "ondeck.v1.PredictionService": ("Predict", "BatchPredict", "Explain"),
    "ondeck.v1.ModelService": ("ListModels", "GetModel", "ListAliasChanges"),
    "ondeck.v1.PlayerService": ("ResolvePlayers", "GetPlayer", "SearchPlayers"),
}

# Only UNAVAILABLE is retried, because only then has the server, or the way to it, said that another try may succeed.
# When most tries fail, throttling stops the rest.
_SERVICE_CONFIG: Final[dict[str, Any]] = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    "methodConfig": [
        {
            "name": [
                {"service": service, "method": method} for service, methods in REPEATABLE.items() for method in methods
            ],
            "retryPolicy": {
                "maxAttempts": TRIES,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}

_CONNECTION: Final = (
    ("grpc.enable_retries", 1),
    ("grpc.keepalive_time_ms", 300_000),  # gRPC servers end connections that ping more often, unless told otherwise
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # in spite of its name: how long one attempt to connect may take
    ("grpc.dns_min_time_between_resolutions_ms", 5_000),
)


def service_config(health: str | None) -> str:
    """Write the service config; `health` names the health that a replica must have to be asked, None: any may be."""
    checked = {} if health is None else {"healthCheckConfig": {"serviceName": health}}
    return json.dumps(_SERVICE_CONFIG | checked)


def channel_options(max_message_bytes: int, health: str | None, extra: ChannelOptions) -> list[tuple[str, Any]]:
    """List the channel options of both clients; `extra` comes last, and so wins."""
    return [
        ("grpc.service_config", service_config(health)),
        *_CONNECTION,
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        *extra,
    ]


class CallWords(TypedDict):
    """What gRPC is told with each call."""

    timeout: float | None
    wait_for_ready: bool


@dataclass(frozen=True, kw_only=True)
class CallDefaults:
    """How a client calls unless a call says otherwise; seconds."""

    timeout: float
    wait_for_ready: bool

    def of_call(self, timeout: float | None) -> CallWords:
        """Words for a call with one answer: it always has a deadline."""
        return CallWords(
            timeout=self.timeout if timeout is None else timeout,
            wait_for_ready=self.wait_for_ready,
        )

    def of_stream(self, timeout: float | None) -> CallWords:
        """Words for a stream: it has a deadline only where the caller gives one."""
        return CallWords(timeout=timeout, wait_for_ready=self.wait_for_ready)
