"""How the clients connect: retries where they are safe, deadlines always, connections that are kept and spread."""

import json
from collections.abc import Sequence
from typing import Any, Final

MEBIBYTE: Final = 1 << 20
MAX_MESSAGE: Final = 64 * MEBIBYTE
DEFAULT_TIMEOUT: Final = 10.0

# Every rpc of Ondeck may be repeated: none changes anything. Only UNAVAILABLE is retried, because only then has the
# server, or the way to it, said that another try may succeed.
_SERVICE_CONFIG: Final = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "methodConfig": [
        {
            "name": [{"service": "ondeck.v1.PredictionService"}, {"service": "ondeck.v1.ModelService"}],
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


def channel_options(extra: Sequence[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """List the channel options of both clients; `extra` comes last, and so wins."""
    return [
        ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
        ("grpc.enable_retries", 1),
        ("grpc.keepalive_time_ms", 300_000),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.max_receive_message_length", MAX_MESSAGE),
        ("grpc.max_send_message_length", MAX_MESSAGE),
        *extra,
    ]
