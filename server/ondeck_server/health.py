"""Health that tells the truth: `models/<name>` for each model, the services and "" for the whole."""

from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


def health_names(services: tuple[str, ...], serving: dict[str, bool]) -> dict[str, bool]:
    """Tell for each health name whether it serves; the whole serves if there are models and all of them do."""
    whole = bool(serving) and all(serving.values())
    return {
        "": whole,
        **dict.fromkeys(services, whole),
        **{f"models/{model}": serves for model, serves in serving.items()},
    }


async def tell(servicer: aio.HealthServicer, names: dict[str, bool]) -> None:
    """Make the health service say this."""
    for name, serves in names.items():
        await servicer.set(name, SERVING if serves else NOT_SERVING)
