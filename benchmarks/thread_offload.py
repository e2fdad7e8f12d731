"""What a run costs on the event loop and in a thread: where the batcher's limit for runs on the loop comes from."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import uvloop

from benchmarks.production_lookup import MODELS, load_production
from benchmarks.workload_sizes import Scale
from ondeck_core.instances import Matrix
from ondeck_core.tasks import TASKS
from ondeck_server.models.servable import LoadedVersion
from ondeck_trainer.artifact.parity import draw_instances

TASK: Final = "batted_ball"
SIZES: Final = (1, 8, 32, 64, 128, 256)
ROWS: Final = 4096
COLUMNS: Final = (f"rows of {TASK} in a run", "on the loop, us", "in a thread, us", "cost of the thread")


def measure(scale: Scale) -> tuple[str, list[tuple[str, ...]]]:
    """Time runs on the loop and in a thread, alternating; returns a title and the medians."""
    version = load_production(MODELS, TASK)
    return "a run on the event loop, and in a thread", uvloop.run(_lines(version, scale.offload_runs))


async def _lines(version: LoadedVersion, runs: int) -> list[tuple[str, ...]]:
    rows = draw_instances(TASKS[TASK].instance, ROWS, seed=6)
    with ThreadPoolExecutor(1) as thread:
        return [await _line(version, rows, size, thread, runs) for size in SIZES]


async def _line(
    version: LoadedVersion, rows: Matrix, size: int, thread: ThreadPoolExecutor, runs: int
) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()

    async def on_loop(batch: Matrix) -> None:
        done: asyncio.Future[object] = loop.create_future()
        loop.call_soon(lambda: done.set_result(version.predict(batch)))
        await done

    async def in_thread(batch: Matrix) -> None:
        await loop.run_in_executor(thread, version.predict, batch)

    on_loop_us, in_thread_us = await _medians_us((on_loop, in_thread), rows, size, runs)
    return (str(size), f"{on_loop_us:.0f}", f"{in_thread_us:.0f}", f"{in_thread_us / on_loop_us - 1:.0%}")


async def _medians_us(
    variants: tuple[Callable[[Matrix], Awaitable[None]], ...], rows: Matrix, size: int, runs: int
) -> tuple[float, ...]:
    seconds: list[list[float]] = [[] for _ in variants]
    for start in np.random.default_rng(3).integers(0, len(rows) - size, runs):
        batch = np.ascontiguousarray(rows[start : start + size])
        for run, measured in zip(variants, seconds, strict=True):
            begin = time.perf_counter()
            await run(batch)
            measured.append(time.perf_counter() - begin)
    return tuple(float(np.median(each)) * 1e6 for each in seconds)
