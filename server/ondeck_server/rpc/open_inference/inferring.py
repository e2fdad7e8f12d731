"""One request, from its message to its answer, alone or in a stream."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from inference.grpc_service_pb2 import ModelInferRequest, ModelInferResponse, ModelStreamInferResponse
from ondeck_server.graphs import LAST, Graphs, Outputs, Tally
from ondeck_server.models.loaded import LoadedGraph
from ondeck_server.rpc.open_inference.answers import Answers, failed_in_stream, in_stream
from ondeck_server.rpc.open_inference.choosing import Lease, Repository, wanted
from ondeck_server.rpc.open_inference.tensors import features_of, positions, waiting
from ondeck_server.rpc.statuses import outcome_of

IN_FLIGHT: Final = 256  # requests of one stream; a caller who sends more waits
_now = time.perf_counter_ns


@dataclass(slots=True)
class _Asked:
    """A request on its way through a run, and the hold on its version until it is answered."""

    request: ModelInferRequest
    version: LoadedGraph
    places: list[int] | None
    outputs: asyncio.Future[Outputs]
    tally: Tally
    since: int
    lease: Lease


@dataclass(slots=True)
class _Failed:
    request: ModelInferRequest
    message: str


_Entry = _Asked | _Failed | None  # None: the caller has sent everything


class Inferring:
    """Has requests run and answered."""

    def __init__(self, models: Repository, graphs: Graphs) -> None:
        self._models = models
        self._graphs = graphs
        self._answers = Answers()

    async def infer(self, request: ModelInferRequest, seconds: float | None) -> ModelInferResponse:
        """Answer a request that has so many seconds left."""
        asked = self._ask(request, seconds)
        try:
            return self._answer(asked, await asked.outputs)
        except BaseException:
            _fail(asked.tally, asked.since)
            raise
        finally:
            asked.lease.release()

    async def stream(self, requests: AsyncIterator[ModelInferRequest]) -> AsyncIterator[ModelStreamInferResponse]:
        """Answer requests in their order; one that cannot be answered gets its error, and the stream goes on."""
        entries: asyncio.Queue[_Entry] = asyncio.Queue(IN_FLIGHT)
        reading = asyncio.create_task(self._read(requests, entries))
        try:
            while (entry := await entries.get()) is not None:
                yield await self._entry_answered(entry)
            await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            _let_go(entries)

    async def _read(self, requests: AsyncIterator[ModelInferRequest], entries: asyncio.Queue[_Entry]) -> None:
        broken: Exception | None = None
        try:
            async for request in requests:
                await _put(entries, self._asked_or_failed(request))
        except Exception as error:  # noqa: BLE001  it is told once what came before it is answered
            broken = error
        await entries.put(None)  # not where this task is cancelled: nobody would take it
        if broken is not None:
            raise broken

    def _asked_or_failed(self, request: ModelInferRequest) -> _Asked | _Failed:
        try:
            return self._ask(request, None)
        except Exception as error:  # noqa: BLE001  it becomes this request's answer
            return _Failed(request, outcome_of(error).message)

    async def _entry_answered(self, entry: _Asked | _Failed) -> ModelStreamInferResponse:
        if isinstance(entry, _Failed):
            return failed_in_stream(entry.request, entry.message)
        try:
            return in_stream(self._answer(entry, await entry.outputs))
        except Exception as error:  # noqa: BLE001  it becomes this request's answer
            _fail(entry.tally, entry.since)
            return failed_in_stream(entry.request, outcome_of(error).message)
        finally:
            entry.lease.release()

    def _ask(self, request: ModelInferRequest, seconds: float | None) -> _Asked:
        since = _now()
        lease = self._models.lease(wanted(self._models, request.model_name, request.model_version))
        version = lease.version
        graph = self._graphs.of(version)
        tally = graph.tally
        try:
            features = features_of(request, version.session.inputs[0])
            places = positions(request, version.session.outputs) if request.outputs else None
            priority = LAST
            if request.parameters:
                priority, limit = waiting(request, LAST)
                seconds = limit if seconds is None else min(seconds, limit or seconds)
            outputs = graph.start(features, priority=priority, seconds=seconds)
        except BaseException:
            _fail(tally, since)
            lease.release()
            raise
        return _Asked(request, version, places, outputs, tally, since, lease)

    def _answer(self, asked: _Asked, outputs: Outputs) -> ModelInferResponse:
        response, tally = self._answers.answer(asked.request, asked.version, outputs, asked.places), asked.tally
        tally.succeeded += 1
        tally.success += _now() - asked.since
        tally.last = time.time_ns() // 1_000_000
        return response


def _fail(tally: Tally, since: int) -> None:
    tally.failed += 1
    tally.fail += _now() - since


async def _put(entries: asyncio.Queue[_Entry], entry: _Entry) -> None:
    try:
        await entries.put(entry)
    except asyncio.CancelledError:
        _drop(entry)
        raise


def _let_go(entries: asyncio.Queue[_Entry]) -> None:
    while not entries.empty():
        _drop(entries.get_nowait())


def _drop(entry: _Entry) -> None:
    """Give up what nobody will read, before it is run."""
    if isinstance(entry, _Asked):
        entry.outputs.cancel()
        entry.lease.release()
