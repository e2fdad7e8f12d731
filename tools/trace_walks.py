"""Trace four real calls and write the project files they pass into docs/architecture.md; with --check, only compare.

    python -m tools.trace_walks [--check]

A file counts when one of its functions runs during the call. Imports and what runs before the call do not count.
"""

import argparse
import ast
import asyncio
import difflib
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any, Final

import grpc
from threadpoolctl import threadpool_limits

from benchmarks.input_rows import generate_instances
from benchmarks.messages import unary
from benchmarks.production_lookup import MODELS, ROOT
from ondeck.v1.prediction_service_pb2_grpc import PredictionServiceStub
from ondeck_core.tasks import TASKS
from ondeck_ingest.pipeline.foreground_ingest import ingest_days
from ondeck_ingest.settings import IngestSettings
from ondeck_runtime.metrics import MetricsBlock
from ondeck_server.composition import Components, accept_calls, open_models
from ondeck_server.health.status import HealthRegistry
from ondeck_server.models.manager import ModelManager
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.settings import ServerSettings
from ondeck_store.migrations import open_migrated
from ondeck_trainer.data.dataset import build_dataset
from ondeck_trainer.pipeline import train
from tests.contract.source_tree import PRODUCT_ROOTS
from tests.factories.statcast_rows import as_csv, sample_cells, sample_rows
from tests.fixtures.models import small_plan
from tests.fixtures.ports import find_free_port
from tests.fixtures.savant import Reply, run_fake_savant

DOCUMENT: Final = ROOT / "docs" / "architecture.md"
TASK: Final = "batted_ball"
DAY: Final = date(2024, 6, 3)
PREFIXES: Final = {str(ROOT / root) + os.sep for root in PRODUCT_ROOTS}
Walk = Callable[[Path], list[str]]


@dataclass
class CallTrace:
    """The product files whose functions run, in the order of their first call, over all threads."""

    files: list[str] = field(default_factory=list)
    is_over: bool = False  # threads that outlive the block keep the profile function
    _seen: set[str] = field(default_factory=set)

    def on_event(self, frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401  as sys.setprofile calls it
        """Record the file of a function call, unless an import runs it."""
        name = frame.f_code.co_filename
        if (
            self.is_over
            or event != "call"
            or name in self._seen
            or not any(name.startswith(prefix) for prefix in PREFIXES)
        ):
            return
        if not _is_import(frame):
            self._seen.add(name)
            self.files.append(str(Path(name).relative_to(ROOT)))


def _is_import(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__":
            return True
        frame = frame.f_back
    return False


@contextmanager
def trace_calls() -> Iterator[CallTrace]:
    """Trace this thread and every thread that starts within the block."""
    trace = CallTrace()
    threading.setprofile(trace.on_event)
    sys.setprofile(trace.on_event)
    try:
        yield trace
    finally:
        trace.is_over = True
        sys.setprofile(None)
        threading.setprofile(None)


def trace_load(folder: Path) -> list[str]:
    """Trace how a server loads one version: from the look at the repository to a warm session."""
    return asyncio.run(_trace_load(folder))


async def _trace_load(folder: Path) -> list[str]:
    models = open_models(_settings(folder), MetricsBlock())
    with trace_calls() as trace:
        await _load(models)
    return trace.files


def trace_predict(folder: Path) -> list[str]:
    """Trace a Predict call on an open HTTP/2 connection, on the server's side."""
    return asyncio.run(_trace_predict(folder))


async def _trace_predict(folder: Path) -> list[str]:
    settings, metrics, port = _settings(folder), MetricsBlock(), find_free_port()
    models = open_models(settings, metrics)
    await _load(models)
    components = Components(
        settings=settings,
        models=models,
        players=PlayerDirectory(changed=_ignore),
        health=HealthRegistry(),
        metrics=metrics,
        broadcast_load=lambda _model, _loaded: None,
    )
    (request,) = unary(TASKS[TASK], generate_instances(TASKS[TASK].instance, 1))
    async with accept_calls(components, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = PredictionServiceStub(channel)
        await stub.Predict(request)
        with trace_calls() as trace:
            await stub.Predict(request)
    return trace.files


async def _load(models: ModelManager) -> None:
    await models.refresh()
    await models.wait_idle()


async def _ignore() -> None:
    """Do nothing when players change."""


def _settings(folder: Path) -> ServerSettings:
    models = folder / "models"
    if not models.exists():
        shutil.copytree(MODELS / TASK, models / TASK)
    return ServerSettings(model_repository=models, home=folder, host="127.0.0.1", shutdown_delay_seconds=0)


def trace_ingest_day(folder: Path) -> list[str]:
    """Trace `ondeck ingest days` for one day: fetch, archive, check, store, update the ledger."""
    return asyncio.run(_trace_ingest_day(folder))


async def _trace_ingest_day(folder: Path) -> list[str]:
    with run_fake_savant() as savant:
        savant.replies[DAY] = Reply(body=as_csv(sample_cells(DAY, days=1)))
        settings = IngestSettings(home=folder, savant_url=savant.url)
        async with open_migrated(settings):  # the walk finds a running database with current tables
            asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))  # its threads start in the block
            with trace_calls() as trace:
                await ingest_days(settings, [DAY])
    return trace.files


def trace_train(folder: Path) -> list[str]:
    """Trace a training run: split, fit, evaluate, pass the gate, export, publish."""
    rows = sample_rows(date(2022, 6, 1), days=92, games=1)
    with threadpool_limits(1), trace_calls() as trace:
        train(build_dataset(TASKS[TASK], rows), small_plan(folder / "trained"), lambda _: None)
    return trace.files


WALKS: Final[Mapping[str, Walk]] = {
    "predict": trace_predict,
    "load": trace_load,
    "ingest-day": trace_ingest_day,
    "train": trace_train,
}


def trace_walk(name: str) -> list[str]:
    """Return the files that a walk passes, in order."""
    with tempfile.TemporaryDirectory() as folder:
        return WALKS[name](Path(folder))


def files_shown(text: str, name: str) -> list[str]:
    """Return the files that a document lists for a walk."""
    found = re.search(rf"<!-- trace: {name} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    return re.findall(r"^\d+\. `([^`]+\.py)`", found.group(1), re.MULTILINE) if found else []


def summary_of(file: str) -> str:
    """Return the first sentence of a module's docstring."""
    first = (ast.get_docstring(ast.parse((ROOT / file).read_text())) or "").partition("\n\n")[0]
    return " ".join(first.split()).rstrip(".")


def fill(text: str, walks: Mapping[str, list[str]]) -> str:
    """Put the files of each walk between its markers, numbered, each with its summary."""
    for name, files in walks.items():
        listed = "\n".join(f"{number}. `{each}`: {summary_of(each)}" for number, each in enumerate(files, 1))
        text = re.sub(
            rf"(<!-- trace: {name} -->\n).*?(<!-- end -->)", rf"\g<1>\n{listed}\n\n\g<2>", text, flags=re.DOTALL
        )
    return text


def main() -> None:
    """Write the lists, or compare them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--print", action="store_true", help="print the lists and write nothing")
    args = parser.parse_args()
    walks = {name: trace_walk(name) for name in WALKS}
    if args.print:
        for name, files in walks.items():
            sys.stdout.write("\n  ".join([f"{name}: {len(files)} files", *files]) + "\n")
        return
    before = DOCUMENT.read_text()
    after = fill(before, walks)
    if not args.check:
        DOCUMENT.write_text(after)
    elif before != after:
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), "shown", "traced"
        )
        sys.stdout.writelines(lines)
        sys.exit("docs/architecture.md is out of date, run `python -m tools.trace_walks`")


if __name__ == "__main__":
    main()
