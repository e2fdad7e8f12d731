"""A stream of instances: asked as they come, answered in order, as many at a time as are ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.instances import Matrix
from ondeck_server.models.manager import Chosen
from ondeck_server.predictor import Predictor
from ondeck_server.rates import Rates
from ondeck_server.rpc import answers, convert
from ondeck_server.rpc.call import Call
from ondeck_server.rpc.statuses import Outcome, told

IN_FLIGHT: Final = 256  # instances of one stream; a caller who sends more waits
LONGEST_ID: Final = 128


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """An instance on its way through a run."""

    id: str
    chosen: Chosen
    instance: Matrix
    probabilities: asyncio.Future[Matrix]


@dataclass(frozen=True, kw_only=True)
class _Failed:
    """An instance that will not be answered."""

    id: str
    outcome: Outcome


_Entry = _Asked | _Failed | None  # None: the caller has sent everything


async def answer_in_order(
    predictor: Predictor, requests: AsyncIterator[StreamPredictRequest], call: Call, rates: Rates
) -> AsyncIterator[StreamPredictResponse]:
    """Answer requests in their order; an instance that cannot be answered gets its error, and the stream goes on."""
    entries: asyncio.Queue[_Entry] = asyncio.Queue(IN_FLIGHT)
    reading = asyncio.create_task(_read(predictor, requests, entries, call, rates))
    try:
        while (ready := await _ready(entries))[0] is not None:
            yield StreamPredictResponse(
                answers=[await _answer(predictor, call, each) for each in ready if each is not None]
            )
            if ready[-1] is None:
                break
        await reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        _let_go(entries)


async def _read(
    predictor: Predictor,
    requests: AsyncIterator[StreamPredictRequest],
    entries: asyncio.Queue[_Entry],
    call: Call,
    rates: Rates,
) -> None:
    try:
        async for request in requests:
            await entries.put(_ask(predictor, request, call, rates))
    finally:
        await entries.put(None)


def _ask(predictor: Predictor, request: StreamPredictRequest, call: Call, rates: Rates) -> _Asked | _Failed:
    try:
        if len(request.id) > LONGEST_ID:
            raise InvalidInstanceError([Violation("id", f"must be of at most {LONGEST_ID} characters")])  # noqa: TRY301  one way out for all errors
        chosen = predictor.choose(convert.wanted(request.model))
        instance = convert.instance_of(request, chosen.version.task)
        rates.admit(call, len(instance))
        running = predictor.start(chosen, instance, path=chosen.version.task.instance.path)
    except Exception as error:  # noqa: BLE001  it becomes this instance's answer
        return _Failed(id=request.id, outcome=told(error, call))
    return _Asked(id=request.id, chosen=chosen, instance=instance, probabilities=running)


async def _ready(entries: asyncio.Queue[_Entry]) -> list[_Entry]:
    """Wait for one entry and take all that are there with it; None can only come last."""
    taken = [await entries.get()]
    while taken[-1] is not None and not entries.empty():
        taken.append(entries.get_nowait())
    return taken


async def _answer(predictor: Predictor, call: Call, entry: _Asked | _Failed) -> StreamAnswer:
    if isinstance(entry, _Failed):
        return StreamAnswer(id=entry.id, error=answers.stream_error(entry.outcome))
    try:
        probabilities = await entry.probabilities
    except Exception as error:  # noqa: BLE001  it becomes this instance's answer
        return StreamAnswer(id=entry.id, error=answers.stream_error(told(error, call)))
    answer = predictor.finish(entry.chosen, entry.instance, probabilities)
    return StreamAnswer(id=entry.id, prediction=answers.prediction(answer))


def _let_go(entries: asyncio.Queue[_Entry]) -> None:
    """Drop what nobody will read, before it is run."""
    while not entries.empty():
        entry = entries.get_nowait()
        if isinstance(entry, _Asked):
            entry.probabilities.cancel()
