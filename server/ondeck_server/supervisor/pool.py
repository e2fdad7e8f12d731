"""The workers of a server: kept as many as they ought to be, told of the whole, and ended."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import structlog

from ondeck_core.errors import OndeckError
from ondeck_server.ipc.messages import (
    ChannelzResponse,
    FromWorker,
    LoadRequest,
    RetireWorker,
    ServerState,
    StartDraining,
    StartListening,
    StartWorker,
    WorkerFailed,
    WorkerStatus,
)
from ondeck_server.settings import ServerSettings
from ondeck_server.supervisor import policy
from ondeck_server.supervisor.metrics import FOLDER_VARIABLE, MetricsFolder
from ondeck_server.supervisor.policy import Phase
from ondeck_server.supervisor.process import WorkerProcess, start_process
from ondeck_server.supervisor.state import missing_of, serving_of
from ondeck_server.worker.drain import patience

log = structlog.get_logger()


class CannotServeError(OndeckError):
    """The workers end before they take calls; the text says why, as far as one of them said it."""


class WorkerPool:
    """The workers; `start` is what each is told first, `full` is called once, when as many as wanted take calls."""

    def __init__(
        self, start: StartWorker, settings: ServerSettings, measures: MetricsFolder, full: Callable[[], None]
    ) -> None:
        self._start = start
        self._wanted = settings.workers
        self._grace = settings.drain_seconds
        self._patience = patience(settings.max_connection_age_seconds)
        self._measures = measures
        self._full = full
        self._workers: dict[int, WorkerProcess] = {}
        self._hearing: set[asyncio.Task[None]] = set()
        self._wishes: dict[str, bool] = {}
        self._number = self._generation = self._failures = 0
        self._start_at = 0.0
        self._changed = asyncio.Event()
        self._was_full = self._ending = self._draining = False
        self._failure: CannotServeError | None = None

    @property
    def reports(self) -> list[WorkerStatus]:
        """What the workers that take calls have last said of themselves."""
        return [each.report for each in self._in(Phase.LISTENING) if each.report is not None]

    def unready(self) -> list[str]:
        """List what keeps the whole from being ready."""
        return [*(["draining"] if self._draining else []), *missing_of(self.reports)]

    async def channelz(self) -> dict[str, Any]:
        """Tell what channelz sees in each worker that takes calls, or still finishes some."""
        asked = self._in(Phase.LISTENING, Phase.RETIRING)
        return {"workers": await asyncio.gather(*(worker.look() for worker in asked))}

    def replace(self) -> None:
        """Have every worker that there is now replaced."""
        self._generation += 1
        log.info("replacing workers", workers=[worker.pid for worker in self._workers.values()])
        self._changed.set()

    async def run(self) -> None:
        """Keep the workers as many as they ought to be, until `stop`.

        Raises:
            CannotServeError: they end before they have ever taken calls.
        """
        clock = asyncio.get_running_loop().time
        while not self._ending:
            self._changed.clear()
            for action in policy.decide(self._seen(), clock()):
                await self._act(action)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), policy.next_look(self._seen(), clock()))
            if self._failure is not None:
                raise self._failure

    def stop(self) -> None:
        """Let `run` return; from then on nobody is replaced."""
        self._ending = True
        self._changed.set()

    def drain(self) -> None:
        """Say of everything, for good, that it does not serve."""
        self._draining = True
        for worker in self._workers.values():
            worker.say(StartDraining())

    async def end(self) -> None:
        """Let calls in flight finish, and end every worker."""
        for worker in self._in(Phase.LISTENING, Phase.RETIRING):
            self._retire(worker, hurry=True)
        for worker in self._in(Phase.STARTING, Phase.TOLD):
            worker.kill()
        await self._all_gone(self._grace + policy.KILL_AFTER)

    async def kill(self) -> None:
        """End every worker at once."""
        for worker in self._workers.values():
            worker.kill()
        await self._all_gone(None)

    async def _all_gone(self, seconds: float | None) -> None:
        if self._hearing:
            await asyncio.wait(self._hearing, timeout=seconds)

    def _in(self, *phases: Phase) -> list[WorkerProcess]:
        return [worker for worker in self._workers.values() if worker.phase in phases]

    def _seen(self) -> policy.PoolState:
        serving = serving_of(self.reports)
        return policy.PoolState(
            members=tuple(worker.member(serving) for worker in self._workers.values()),
            wanted=self._wanted,
            generation=self._generation,
            start_at=self._start_at,
            grace=self._patience + self._grace,
        )

    async def _act(self, action: policy.Action) -> None:
        match action:
            case policy.Start():
                await self._start_one()
            case policy.Listen(number=number):
                self._listen(self._workers[number])
            case policy.Retire(number=number):
                self._retire(self._workers[number], hurry=False)
            case policy.Kill(number=number, why=why):
                log.warning("worker killed", worker=self._workers[number].pid, reason=why)
                self._workers[number].kill()

    async def _start_one(self) -> None:
        process, talk = await start_process({FOLDER_VARIABLE: str(self._measures.folder)})
        now = asyncio.get_running_loop().time()
        self._number += 1
        worker = WorkerProcess(
            number=self._number, generation=self._generation, process=process, talk=talk, born=now, since=now
        )
        self._workers[worker.number] = worker
        worker.say(self._start.model_copy(update={"wishes": dict(self._wishes)}))
        hearing = asyncio.create_task(self._hear(worker))
        self._hearing.add(hearing)
        hearing.add_done_callback(self._hearing.discard)
        log.info("worker started", worker=worker.pid)

    def _listen(self, worker: WorkerProcess) -> None:
        worker.enter(Phase.TOLD)
        joined = [*self.reports, *([worker.report] if worker.report else [])]
        worker.say(self._whole(serving_of(joined)), StartListening())

    def _retire(self, worker: WorkerProcess, *, hurry: bool) -> None:
        worker.enter(Phase.RETIRING)
        worker.say(RetireWorker(hurry=hurry))
        log.info("worker retiring", worker=worker.pid, hurry=hurry)

    async def _hear(self, worker: WorkerProcess) -> None:
        try:
            async for message in worker.talk.heard():
                self._take(worker, message)
                self._changed.set()
        finally:
            await worker.talk.close()
            self._gone(worker, await worker.process.wait())
            self._changed.set()

    def _take(self, worker: WorkerProcess, message: FromWorker) -> None:
        match message:
            case WorkerStatus():
                worker.report = message
                self._follow(worker, listening=message.listening)
                self._tell_whole()
            case LoadRequest(model=model, loaded=loaded):
                self._wishes[model] = loaded
                self._tell_whole()
            case WorkerFailed(reason=reason):
                worker.failed = reason
            case ChannelzResponse(number=number, channelz=channelz):
                worker.saw(number, channelz)

    def _follow(self, worker: WorkerProcess, *, listening: bool) -> None:
        if listening and worker.phase is Phase.TOLD:
            worker.enter(Phase.LISTENING)
            log.info("worker takes calls", worker=worker.pid, replaces_another=self._was_full)
            if not self._was_full and len(self._in(Phase.LISTENING)) == self._wanted:
                self._was_full = True
                self._full()
        elif not listening and worker.phase is Phase.LISTENING:  # somebody else told it to end
            worker.enter(Phase.RETIRING)

    def _tell_whole(self) -> None:
        whole = self._whole(serving_of(self.reports))
        for worker in self._in(Phase.LISTENING, Phase.RETIRING):
            worker.say(whole)

    def _whole(self, serving: Mapping[str, bool]) -> ServerState:
        return ServerState(serving=serving, wishes=dict(self._wishes))

    def _gone(self, worker: WorkerProcess, code: int) -> None:
        del self._workers[worker.number]
        self._measures.forget(worker.pid)
        if worker.phase is Phase.RETIRING:
            log.info("worker retired", worker=worker.pid, exit_code=code)
        elif not self._ending:
            self._mourn(worker, code)
        self._tell_whole()

    def _mourn(self, worker: WorkerProcess, code: int) -> None:
        now = asyncio.get_running_loop().time()
        self._failures = policy.failures_after(self._failures, now - worker.born)
        pause = policy.pause_after(self._failures)
        self._start_at = now + pause
        if not self._was_full and (worker.failed or self._failures >= policy.FIRST_TRIES):
            self._failure = CannotServeError(worker.failed or _unsaid(code))
            return
        log.warning("worker died", worker=worker.pid, exit_code=code, reason=worker.failed, next_start_in_seconds=pause)


def _unsaid(code: int) -> str:
    return f"the server's workers end before they take calls, the last with exit code {code}; its last lines say why"
