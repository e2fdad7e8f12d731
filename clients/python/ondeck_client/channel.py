"""How the clients connect and call: retries where they are safe, deadlines always, connections kept and spread."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict

MAX_MESSAGE_BYTES: Final = 64 << 20
DEFAULT_TIMEOUT: Final = 10.0

ChannelOptions = Sequence[tuple[str, Any]]

# Every rpc of Ondeck may be repeated: none changes anything. Only UNAVAILABLE is retried, because only then has the
# server, or the way to it, said that another try may succeed. When most tries fail, throttling stops the rest.
_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "retryThrottling": {"maxTokens": 10, "tokenRatio": 0.1},
    "methodConfig": [
        {
            "name": [
                {"service": f"ondeck.v1.{name}"} for name in ("PredictionService", "ModelService", "PlayerService")
            ],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.1s",
                "maxBackoff": "2s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
}


def channel_options(max_message_bytes: int, extra: ChannelOptions) -> list[tuple[str, Any]]:
    """List the channel options of both clients; `extra` comes last, and so wins."""
    return [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", 300_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        *extra,
    ]


class CallWords(TypedDict):
    """What gRPC is told with each call."""

    timeout: float | None
    wait_for_ready: bool


@dataclass(frozen=True, kw_only=True)
class Manner:
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
