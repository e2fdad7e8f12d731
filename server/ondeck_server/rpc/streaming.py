"""A stream of instances: asked as they come, answered in order, as many at a time as are ready."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest, StreamPredictResponse
from ondeck_core.errors import InvalidInstanceError, Violation
from ondeck_core.instances import Matrix
from ondeck_server.batching.queue import Ran
from ondeck_server.models.served import Lease
from ondeck_server.predictor import Asked, Predictor
from ondeck_server.rpc import answers, convert
from ondeck_server.rpc.call import Call
from ondeck_server.rpc.statuses import Outcome, outcome_of

IN_FLIGHT: Final = 256  # instances of one stream; a caller who sends more waits
LONGEST_ID: Final = 128


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """An instance on its way through a run."""

    id: str
    lease: Lease
    instance: Matrix
    running: asyncio.Future[Ran]


@dataclass(frozen=True, kw_only=True)
class _Failed:
    """An instance that will not be answered."""

    id: str
    outcome: Outcome


_Entry = _Asked | _Failed | None  # None: the caller has sent everything


async def answer_in_order(
    predictor: Predictor, call: Call, requests: AsyncIterator[StreamPredictRequest]
) -> AsyncGenerator[StreamPredictResponse, None]:
    """Answer requests in their order; an instance that cannot be answered gets its error, and the stream goes on."""
    entries: asyncio.Queue[_Entry] = asyncio.Queue(IN_FLIGHT)
    reading = asyncio.create_task(_read(predictor, call, requests, entries))
    try:
        while (ready := await _ready(entries))[0] is not None:
            yield StreamPredictResponse(answers=[await _answer(predictor, each) for each in ready if each is not None])
            if ready[-1] is None:
                break
        await reading
    finally:
        reading.cancel()
        with suppress(asyncio.CancelledError):
            await reading
        _let_go(entries)


async def _read(
    predictor: Predictor, call: Call, requests: AsyncIterator[StreamPredictRequest], entries: asyncio.Queue[_Entry]
) -> None:
    try:
        async for request in requests:
            await entries.put(_ask(predictor, call, request))
    finally:
        await entries.put(None)


def _ask(predictor: Predictor, call: Call, request: StreamPredictRequest) -> _Asked | _Failed:
    try:
        if len(request.id) > LONGEST_ID:
            raise InvalidInstanceError([Violation("id", f"must be of at most {LONGEST_ID} characters")])  # noqa: TRY301  one way out for all errors
        lease = predictor.lease(convert.wanted(request.model))
    except Exception as error:  # noqa: BLE001  it becomes this instance's answer
        return _Failed(id=request.id, outcome=outcome_of(error))
    try:
        task = lease.version.task
        instance = convert.instance_of(request, task)
        asked = Asked(instances=instance, path=task.instance.path, within=call.time_left())
        return _Asked(id=request.id, lease=lease, instance=instance, running=predictor.start(lease, asked))
    except Exception as error:  # noqa: BLE001  it becomes this instance's answer
        lease.release()
        return _Failed(id=request.id, outcome=outcome_of(error))


async def _ready(entries: asyncio.Queue[_Entry]) -> list[_Entry]:
    """Wait for one entry and take all that are there with it; None can only come last."""
    taken = [await entries.get()]
    while taken[-1] is not None and not entries.empty():
        taken.append(entries.get_nowait())
    return taken


async def _answer(predictor: Predictor, entry: _Asked | _Failed) -> StreamAnswer:
    if isinstance(entry, _Failed):
        return StreamAnswer(id=entry.id, error=answers.stream_error(entry.outcome))
    with entry.lease:
        try:
            ran = await entry.running
        except Exception as error:  # noqa: BLE001  it becomes this instance's answer
            return StreamAnswer(id=entry.id, error=answers.stream_error(outcome_of(error)))
        answer = predictor.finish(entry.lease, entry.instance, ran)
        return StreamAnswer(id=entry.id, prediction=answers.prediction(answer))


def _let_go(entries: asyncio.Queue[_Entry]) -> None:
    """Drop what nobody will read, before it is run."""
    while not entries.empty():
        entry = entries.get_nowait()
        if isinstance(entry, _Asked):
            entry.running.cancel()
            entry.lease.release()
