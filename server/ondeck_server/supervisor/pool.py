"""The pool of workers: starts, replaces and stops them, and sends them the state of the whole server."""

import asyncio
import signal
from collections.abc import Mapping
from contextlib import suppress
from math import inf
from typing import Any, Final

import structlog

from ondeck_core.errors import OndeckError
from ondeck_runtime.metrics_page import MetricsPage
from ondeck_runtime.tasks import TaskMonitor
from ondeck_server.ipc.messages import (
    ChannelzResponse,
    FromWorker,
    Heartbeat,
    LoadRequest,
    PlayersFile,
    RetireWorker,
    ServerState,
    SetLogLevel,
    StartDraining,
    StartListening,
    StartWorker,
    TrialRequest,
    WorkerFailed,
    WorkerStatus,
)
from ondeck_server.settings import ServerSettings
from ondeck_server.supervisor import policy
from ondeck_server.supervisor.descriptors import DescriptorReserve
from ondeck_server.supervisor.load_trials import LoadTrials
from ondeck_server.supervisor.metrics import PoolMetrics, worker_memory
from ondeck_server.supervisor.policy import Phase, aggregate_serving, unready_reasons
from ondeck_server.supervisor.process import WorkerProcess, start_process

WORKERS_HEALTH: Final = "workers"  # health name: SERVING if every worker accepts calls
_SUSPENDED_SECONDS: Final = 0.25  # by which a wake-up is late if this process was suspended

log = structlog.get_logger()


class CannotServeError(OndeckError):
    """The workers exit before they accept calls; the text has the reason, if one of them reported it."""


class WorkerPool:
    """The workers; each gets `start` as its first message; `complete` is set once all accept calls."""

    def __init__(
        self,
        start: StartWorker,
        settings: ServerSettings,
        metrics: MetricsPage,
        reserve: DescriptorReserve,
        trials: LoadTrials,
    ) -> None:
        self._start = start
        self._desired = settings.workers
        self._grace = settings.drain_seconds
        self._disconnect_timeout = settings.disconnect_timeout
        self._metrics = metrics
        self._reserve = reserve
        self._trials = trials
        self.complete = asyncio.Event()
        self._heartbeat_timeout = settings.worker_timeout_seconds
        self._pool_metrics = PoolMetrics(metrics, self._desired, self._count_states)
        self._workers: dict[int, WorkerProcess] = {}
        self._receivers: set[asyncio.Task[None]] = set()
        self._load_requests: dict[str, bool] = {}
        self._announced: dict[str, PlayersFile | SetLogLevel] = {}
        self._number = self._generation = self._failures = 0
        self._start_at = 0.0
        self._changed = asyncio.Event()
        self._ending = self.is_draining = self._is_degraded = False
        self._last_failure = ""
        self._failure: CannotServeError | None = None

    @property
    def statuses(self) -> list[WorkerStatus]:
        """The last status of each worker that accepts calls."""
        return [each.status for each in self._in(Phase.LISTENING) if each.status is not None]

    @property
    def workers(self) -> list[WorkerProcess]:
        """All worker processes, also those that start or retire."""
        return list(self._workers.values())

    def unready(self) -> list[str]:
        """List the reasons why the whole server is not ready."""
        silent = self._silent()
        statuses = [each.status for each in self._in(Phase.LISTENING) if each.status is not None and each not in silent]
        return [*([policy.DRAINING] if self.is_draining else []), *unready_reasons(statuses)]

    def degraded(self) -> list[str]:
        """List which workers are missing or hung, and why; the rest may still serve."""
        if self._ending:
            return []
        now, silent = asyncio.get_running_loop().time(), self._silent()
        accepting = [each for each in self._in(Phase.LISTENING) if each not in silent]
        silences = {each.pid: now - (each.heartbeat_at or now) for each in silent}
        return policy.degraded_reasons(silences, len(accepting), self._desired, self._failures, self._last_failure)

    async def channelz(self) -> dict[str, Any]:
        """Return the channelz data of each worker that accepts or still finishes calls."""
        workers = self._in(Phase.LISTENING, Phase.RETIRING)
        return {"workers": await asyncio.gather(*(worker.channelz() for worker in workers))}

    def announce(self, message: PlayersFile | SetLogLevel) -> None:
        """Send a message to every worker, also to those that start later."""
        self._announced[message.kind] = message
        for worker in self._workers.values():
            worker.send(message)

    def replace(self) -> None:
        """Replace every present worker, one at a time."""
        self._generation += 1
        pids = [worker.pid for worker in self._workers.values()]
        log.info("replacement_started", detail="workers are replaced one at a time", workers=pids)
        self._changed.set()

    async def run(self) -> None:
        """Keep the desired number of workers running, until `stop`.

        Raises:
            CannotServeError: the workers exit before they have ever accepted calls.
        """
        clock = asyncio.get_running_loop().time
        while not self._ending:
            self._changed.clear()
            now = clock()  # one moment for both: a deadline between two moments would be lost
            for action in policy.next_actions(self._state(), now):
                await self._act(action)
            self._report_degradation()
            await self._wait_for_change(policy.next_deadline(self._state(), now))
            if self._failure is not None:
                raise self._failure

    async def _wait_for_change(self, seconds: float | None) -> None:
        """Wait for an event, at most so long; if this process itself was suspended, no worker counts as silent."""
        clock = asyncio.get_running_loop().time
        end = inf if seconds is None else clock() + seconds
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), seconds)
        if clock() > end + _SUSPENDED_SECONDS:
            for worker in self._workers.values():
                worker.heartbeat_at = clock() if worker.heartbeat_at is not None else None

    def _report_degradation(self) -> None:
        reasons = self.degraded()
        if self.complete.is_set() and bool(reasons) is not self._is_degraded:
            self._is_degraded = bool(reasons)
            if reasons:
                log.warning("pool_degraded", reasons=reasons)
            else:
                log.info("pool_recovered", detail="every worker accepts calls")
            self._broadcast_state()

    def stop(self) -> None:
        """Let `run` return; from then on no worker is replaced."""
        self._ending = True
        self._changed.set()

    def drain(self) -> None:
        """Report NOT_SERVING for every health name from now on."""
        self.is_draining = True
        for worker in self._workers.values():
            worker.send(StartDraining())

    async def end(self) -> None:
        """Let calls in flight finish, and stop every worker."""
        for worker in self._in(Phase.LISTENING, Phase.RETIRING):
            self._retire(worker, immediate=True)
        for worker in self._in(Phase.STARTING, Phase.ACTIVATING):
            worker.kill()
        await self._wait_exited(self._grace + policy.KILL_AFTER)

    async def kill(self) -> None:
        """Kill every worker."""
        for worker in self._workers.values():
            worker.kill()
        await self._wait_exited(policy.KILL_AFTER)

    async def _wait_exited(self, seconds: float) -> None:
        if self._receivers:
            await asyncio.wait(self._receivers, timeout=seconds)

    def _in(self, *phases: Phase) -> list[WorkerProcess]:
        return [worker for worker in self._workers.values() if worker.phase in phases]

    def _silent(self) -> list[WorkerProcess]:
        state, now = self._state(), asyncio.get_running_loop().time()
        numbers = [each.number for each in state.members if policy.is_silent(state, each, now)]
        return [self._workers[number] for number in numbers]

    def _count_states(self) -> dict[str, int]:
        silent = self._silent()
        counts = {phase.value: 0 for phase in Phase if phase is not Phase.READY}
        for worker in self._workers.values():
            counts[worker.phase.value] += worker not in silent
        return {**counts, "silent": len(silent)}

    def _state(self) -> policy.PoolState:
        serving = aggregate_serving(self.statuses)
        return policy.PoolState(
            members=tuple(worker.snapshot(serving) for worker in self._workers.values()),
            desired=self._desired,
            generation=self._generation,
            start_at=self._start_at,
            grace=self._disconnect_timeout + self._grace,
            heartbeat_timeout=self._heartbeat_timeout,
        )

    async def _act(self, action: policy.Action) -> None:
        match action:
            case policy.Start():
                await self._start_one()
            case policy.Listen(number=number):
                self._listen(self._workers[number])
            case policy.Retire(number=number):
                self._retire(self._workers[number], immediate=False)
            case policy.Kill(number=number, reason=reason):
                self._kill_worker(self._workers[number], reason)

    def _kill_worker(self, worker: WorkerProcess, reason: str) -> None:
        """Kill a worker, and count it as dead at once: its process may take long to exit."""
        log.warning("worker_killed", worker=worker.pid, reason=reason)
        worker.kill()
        if worker.phase is not Phase.RETIRING:
            self._on_death(worker, -signal.SIGKILL, reason)
        worker.enter(Phase.RETIRING)
        worker.was_killed, worker.heartbeat_at = True, None
        self._broadcast_state()

    async def _start_one(self) -> None:
        now = asyncio.get_running_loop().time()
        if now < self._start_at:  # another start failed in the same turn
            return
        try:
            with self._reserve.released(), worker_memory() as (memory, descriptors):
                process, channel = await start_process(*descriptors)
        except Exception as failed:  # noqa: BLE001  a start that fails for any reason is tried again later
            self._on_start_failed(str(failed) or type(failed).__name__)
            return
        self._number += 1
        worker = WorkerProcess(
            number=self._number,
            generation=self._generation,
            process=process,
            channel=channel,
            started_at=now,
            since=now,
        )
        self._workers[worker.number] = worker
        self._metrics.add(worker.number, memory)
        start = self._start.model_copy(update={"load_requests": dict(self._load_requests)})
        worker.send(start, *self._announced.values())
        receiver = TaskMonitor(self._metrics.own).spawn("worker_messages", self._receive(worker))
        self._receivers.add(receiver)
        receiver.add_done_callback(self._receivers.discard)
        log.info("worker_started", worker=worker.pid)

    def _on_start_failed(self, reason: str) -> None:
        self._pool_metrics.start_failures.inc()
        self._last_failure = reason
        log.warning("worker_start_failed", reason=reason, next_start_in_seconds=self._back_off(lifetime=0))

    def _back_off(self, lifetime: float) -> float:
        """Count a failure of a worker that lived so many seconds; return the delay until the next start."""
        self._failures = policy.failures_after(self._failures, lifetime)
        delay = policy.restart_delay(self._failures)
        self._start_at = asyncio.get_running_loop().time() + delay
        return delay

    def _listen(self, worker: WorkerProcess) -> None:
        worker.enter(Phase.ACTIVATING)
        joined = [*self.statuses, *([worker.status] if worker.status else [])]
        worker.send(self._server_state(aggregate_serving(joined)), StartListening())

    def _retire(self, worker: WorkerProcess, *, immediate: bool) -> None:
        worker.enter(Phase.RETIRING)
        worker.send(RetireWorker(immediate=immediate))
        log.info("retirement_started", detail="worker finishes its calls", worker=worker.pid, immediate=immediate)

    async def _receive(self, worker: WorkerProcess) -> None:
        try:
            async for message in worker.channel.receive():
                worker.heartbeat_at = None if worker.was_killed else asyncio.get_running_loop().time()
                self._handle(worker, message)
                if self._is_degraded or not isinstance(message, Heartbeat):
                    self._changed.set()
        finally:
            await worker.channel.close()
            self._on_exit(worker, await worker.process.wait())
            self._changed.set()

    def _handle(self, worker: WorkerProcess, message: FromWorker) -> None:
        match message:
            case WorkerStatus():
                worker.status = message
                self._update_phase(worker, listening=message.listening)
                self._broadcast_state()
            case LoadRequest(model=model, loaded=loaded):
                self._load_requests[model] = loaded
                self._broadcast_state()
            case TrialRequest():
                self._trials.submit(message, worker.send)
            case WorkerFailed(reason=reason):
                worker.failure = reason
            case ChannelzResponse(number=number, channelz=channelz):
                worker.resolve_channelz(number, channelz)

    def _update_phase(self, worker: WorkerProcess, *, listening: bool) -> None:
        if listening and worker.phase is Phase.ACTIVATING:
            worker.enter(Phase.LISTENING)
            log.info("worker_ready", detail="accepts calls", worker=worker.pid, is_replacement=self.complete.is_set())
            if not self.complete.is_set() and len(self._in(Phase.LISTENING)) == self._desired:
                self.complete.set()
        elif not listening and worker.phase is Phase.LISTENING:  # it received SIGTERM from elsewhere
            worker.enter(Phase.RETIRING)

    def _broadcast_state(self) -> None:
        state = self._server_state(aggregate_serving(self.statuses))
        for worker in self._in(Phase.LISTENING, Phase.RETIRING):
            worker.send(state)

    def _server_state(self, serving: Mapping[str, bool]) -> ServerState:
        serving = {**serving, WORKERS_HEALTH: not self.degraded()}
        return ServerState(serving=serving, load_requests=dict(self._load_requests))

    def _on_exit(self, worker: WorkerProcess, code: int) -> None:
        del self._workers[worker.number]
        self._metrics.fold(worker.number)
        self._reserve.fill()
        if worker.phase is Phase.RETIRING:
            log.info("worker_retired", worker=worker.pid, exit_code=code, was_killed=worker.was_killed)
        elif not self._ending:
            self._on_death(worker, code, worker.failure)
        self._pool_metrics.exits[worker.exit_reason].inc()
        self._broadcast_state()

    def _on_death(self, worker: WorkerProcess, code: int, reason: str) -> None:
        self._last_failure = reason or f"exit code {code}"
        delay = self._back_off(asyncio.get_running_loop().time() - worker.started_at)
        if not self.complete.is_set() and (worker.failure or self._failures >= policy.MAX_START_FAILURES):
            self._failure = CannotServeError(worker.failure or policy.unknown_exit_reason(code))
            return
        log.warning("worker_died", worker=worker.pid, exit_code=code, reason=reason, next_start_in_seconds=delay)
