"""Model managers without a server."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ondeck_registry.onnx_session import RunLimiter
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.batching.batcher import BatchingConfig
from ondeck_server.batching.sliced_work import SlicedWork
from ondeck_server.models.manager import ModelManager
from ondeck_server.models.reconciler import parse_policy


def batching_config(
    *,
    max_queued_rows: int = 10**6,
    max_queued_bulk_rows: int = 10**6,
    max_queue_delay_seconds: float = 0,
    max_run_seconds: float = 60,
) -> BatchingConfig:
    return BatchingConfig(
        max_queued_rows=max_queued_rows,
        max_queued_bulk_rows=max_queued_bulk_rows,
        max_queue_delay_seconds=max_queue_delay_seconds,
        max_run_seconds=max_run_seconds,
        executor=ThreadPoolExecutor(max_workers=1),
        suspect_executor=ThreadPoolExecutor(max_workers=1),
        call_limited=RunLimiter().call,
        sliced_work=SlicedWork(),
    )


def make_model_manager(folder: Path, policy: str = "latest:1") -> ModelManager:
    return ModelManager(folder, parse_policy(policy), batching_config(), MetricsBlock())


async def open_model_manager(folder: Path, policy: str = "latest:1") -> ModelManager:
    models = make_model_manager(folder, policy)
    await models.refresh()
    await models.wait_idle()
    return models
