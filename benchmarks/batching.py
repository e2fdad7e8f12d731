"""What it costs to leave the loop: where the limit of the batcher comes from."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import uvloop

from benchmarks.rows import ROOT
from ondeck_core.instances import Matrix
from ondeck_core.manifest import PRODUCTION
from ondeck_core.tasks import TASKS
from ondeck_registry.repository import aliases
from ondeck_server.models.loader import LoadedVersion, load
from ondeck_trainer.artifact.golden_rows import make_up_instances

SIZES: Final = (1, 8, 32, 64, 128, 256)
REPEATS: Final = 300
COLUMNS: Final = (
    "rows of batted_ball in a run",
    "on the loop, us",
    "in a thread, us",
    "thread costs",
)


def measure() -> tuple[str, list[tuple[str, ...]]]:
    """Time runs on the loop and in a thread, alternating; medians."""
    models = ROOT / "onnx_models"
    number = aliases(models, "batted_ball")[PRODUCTION]
    version = load(models / "batted_ball" / str(number), "batted_ball", number)
    return "a run on the loop, and in a thread", uvloop.run(_lines(version))


async def _lines(version: LoadedVersion) -> list[tuple[str, ...]]:
    rows = make_up_instances(TASKS["batted_ball"].instance, 4096, seed=6)
    with ThreadPoolExecutor(1) as thread:
        return [await _line(version, rows, size, thread) for size in SIZES]


async def _line(version: LoadedVersion, rows: Matrix, size: int, thread: ThreadPoolExecutor) -> tuple[str, ...]:
    loop = asyncio.get_running_loop()

    async def on_the_loop(some: Matrix) -> None:
        done: asyncio.Future[object] = loop.create_future()
        loop.call_soon(lambda: done.set_result(version.answer(some)))
        await done

    async def in_a_thread(some: Matrix) -> None:
        await loop.run_in_executor(thread, version.answer, some)

    here, away = await _medians((on_the_loop, in_a_thread), rows, size)
    return (str(size), f"{here:.0f}", f"{away:.0f}", f"{100 * (away / here - 1):.0f} %")


async def _medians(ways: tuple[Callable[[Matrix], Awaitable[None]], ...], rows: Matrix, size: int) -> tuple[float, ...]:
    taken: list[list[float]] = [[] for _ in ways]
    for start in np.random.default_rng(3).integers(0, len(rows) - size, REPEATS):
        some = np.ascontiguousarray(rows[start : start + size])
        for way, seconds in zip(ways, taken, strict=True):
            begin = time.perf_counter()
            await way(some)
            seconds.append(time.perf_counter() - begin)
    return tuple(float(np.median(each)) * 1e6 for each in taken)
