"""The supervisor: worker pool, rolling restart, metrics, pid file and listener."""

import os
import socket
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ondeck_runtime.cpu_quota import cgroup_folders, parse_cfs_quota, parse_cpu_max, smallest_limit
from ondeck_server.ipc.messages import WorkerStatus
from ondeck_server.settings import ServerSettings
from ondeck_server.sockets import CannotListenError, reserve_port
from ondeck_server.supervisor.pidfile import ServerProcess, pid_file, running_servers
from ondeck_server.supervisor.policy import (
    KILL_AFTER,
    STABLE_SECONDS,
    START_TIMEOUT,
    Action,
    Kill,
    Listen,
    Phase,
    PoolState,
    Retire,
    Start,
    WorkerSnapshot,
    aggregate_serving,
    can_join,
    failures_after,
    is_silent,
    next_actions,
    next_deadline,
    restart_delay,
    unready_reasons,
)
from ondeck_server.transports.grpcio.server import close_listeners

NOW = 1000.0
GRACE = 10.0
STARTING, READY, ACTIVATING, LISTENING, RETIRING = Phase


def pool(*members: tuple[Phase, int], desired: int = 2, generation: int = 0, start_at: float = 0) -> PoolState:
    """Return a pool of workers by phase and generation, numbered from 0, all in their phase since NOW."""
    return PoolState(
        members=tuple(
            WorkerSnapshot(number=number, generation=generation, phase=phase, since=NOW)
            for number, (phase, generation) in enumerate(members)
        ),
        desired=desired,
        generation=generation,
        start_at=start_at,
        grace=GRACE,
    )


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (pool(), [Start(), Start()]),
        (pool((STARTING, 0), (STARTING, 0)), []),
        (pool((READY, 0), (STARTING, 0)), [Listen(0)]),
        (pool((ACTIVATING, 0), (READY, 0)), [Listen(1)]),
        (pool((LISTENING, 0), (LISTENING, 0)), []),
        (pool((LISTENING, 0)), [Start()]),
        (pool((LISTENING, 0), (STARTING, 0)), []),
        (pool((LISTENING, 0), start_at=NOW + 1), []),
        (pool((LISTENING, 0), (RETIRING, 0)), [Start()]),
    ],
    ids=str,
)
def test_the_configured_number_of_workers_runs_and_each_listens_once_ready(
    standing: PoolState, expected: Sequence[Action]
) -> None:
    assert list(next_actions(standing, NOW)) == list(expected)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([(LISTENING, 0), (LISTENING, 0)], [Start()]),
        ([(LISTENING, 0), (LISTENING, 0), (STARTING, 1)], []),
        ([(LISTENING, 0), (LISTENING, 0), (READY, 1)], [Listen(2)]),
        ([(LISTENING, 0), (LISTENING, 0), (ACTIVATING, 1)], []),
        ([(LISTENING, 0), (LISTENING, 0), (LISTENING, 1)], [Retire(0)]),
        ([(RETIRING, 0), (LISTENING, 0), (LISTENING, 1)], []),
        ([(LISTENING, 0), (LISTENING, 1)], [Start()]),
        ([(LISTENING, 1), (LISTENING, 1), (LISTENING, 0)], [Retire(2)]),
        ([(LISTENING, 1), (LISTENING, 1)], []),
        ([(LISTENING, 1), (LISTENING, 0)], [Start()]),
    ],
)
def test_a_new_worker_takes_calls_before_an_old_one_retires_and_one_at_a_time(
    members: list[tuple[Phase, int]], expected: Sequence[Action]
) -> None:
    assert list(next_actions(pool(*members, generation=1), NOW)) == list(expected)


def test_a_rolling_restart_replaces_every_worker_and_never_runs_fewer() -> None:
    members = {0: (LISTENING, 0), 1: (LISTENING, 0), 2: (LISTENING, 0)}
    numbers, started = 3, 0
    for _ in range(100):
        standing = PoolState(
            members=tuple(WorkerSnapshot(number=n, generation=g, phase=p, since=NOW) for n, (p, g) in members.items()),
            desired=3,
            generation=1,
            start_at=0,
            grace=GRACE,
        )
        actions = next_actions(standing, NOW)
        if not actions:
            waiting = {n: (p, g) for n, (p, g) in members.items() if p is not LISTENING}
            if not waiting:
                break
            for number, (phase, generation) in waiting.items():  # each pending worker advances one phase
                if phase is RETIRING:
                    del members[number]
                else:
                    members[number] = ({STARTING: READY, ACTIVATING: LISTENING}[phase], generation)
        for action in actions:
            match action:
                case Start():
                    members[numbers], numbers, started = (STARTING, 1), numbers + 1, started + 1
                case Listen(number):
                    members[number] = (ACTIVATING, members[number][1])
                case Retire(number):
                    members[number] = (RETIRING, members[number][1])
        assert sum(phase is LISTENING for phase, _ in members.values()) >= 3
        assert len(members) <= 4
    assert (started, list(members.values())) == (3, [(LISTENING, 1)] * 3)


@pytest.mark.parametrize(
    ("phase", "seconds"), [(STARTING, START_TIMEOUT), (ACTIVATING, START_TIMEOUT), (RETIRING, GRACE + KILL_AFTER)]
)
def test_a_worker_that_exceeds_its_time_limit_is_killed(phase: Phase, seconds: float) -> None:
    standing = pool((phase, 0), desired=1, start_at=NOW * 2)
    assert next_actions(standing, NOW + seconds - 1) == ()
    assert next_deadline(standing, NOW + seconds - 1) == pytest.approx(1)
    assert next_actions(standing, NOW + seconds) == (Kill(0, f"still {phase.value} after {seconds:.0f} s"),)


@pytest.mark.parametrize(("phase", "timeouts"), [(LISTENING, 1), (RETIRING, 1), (ACTIVATING, 1), (STARTING, 6)])
def test_a_worker_without_heartbeats_is_silent_and_then_killed(phase: Phase, timeouts: int) -> None:
    worker = WorkerSnapshot(number=0, generation=0, phase=phase, since=NOW, heartbeat_at=NOW)
    standing = replace(pool(desired=1, start_at=NOW * 2), members=(worker,), heartbeat_timeout=2)
    assert is_silent(standing, worker, NOW + 0.7) is (timeouts == 1)
    assert next_deadline(standing, NOW) == pytest.approx(0.6 if timeouts == 1 else 2 * timeouts)
    assert next_actions(standing, NOW + 2 * timeouts - 0.1) == ()
    assert next_actions(standing, NOW + 2 * timeouts) == (Kill(0, f"no heartbeat for {2 * timeouts} s"),)


def test_without_a_pending_timeout_the_pool_sleeps_until_an_event() -> None:
    assert next_deadline(pool((LISTENING, 0), (LISTENING, 0)), NOW) is None
    assert next_deadline(pool((LISTENING, 0), start_at=NOW + 3), NOW) == pytest.approx(3)


def test_dying_workers_back_off_and_a_stable_one_restarts_at_once() -> None:
    failures, pauses = 0, []
    for _ in range(9):
        failures = failures_after(failures, lifetime=1)
        pauses.append(restart_delay(failures))
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert restart_delay(failures_after(failures, lifetime=STABLE_SECONDS)) == 0


def report(*, ready: bool = True, missing: tuple[str, ...] = (), **serving: bool) -> WorkerStatus:
    return WorkerStatus(ready=ready, listening=True, serving=serving, missing=missing, loaded=())


def test_a_name_serves_only_if_every_worker_serves_it() -> None:
    assert aggregate_serving([report(a=True, b=True), report(a=True, b=False, c=True)]) == {
        "a": True,
        "b": False,
        "c": False,
    }
    assert aggregate_serving([]) == {}


def test_a_worker_joins_once_ready_and_removes_nothing_from_the_state() -> None:
    assert can_join(report(a=True, b=False), {"a": True, "b": False})
    assert can_join(report(a=False), {})
    assert not can_join(report(a=False, b=True), {"a": True})
    assert not can_join(report(b=True), {"a": True})
    assert not can_join(report(ready=False, a=True), {"a": True})


def test_a_missing_version_is_logged_once_and_no_workers_means_not_ready() -> None:
    assert unready_reasons([report(missing=("x", "y")), report(missing=("y", "z"))]) == ["x", "y", "z"]
    assert unready_reasons([]) == ["no worker accepts calls"]


@pytest.mark.parametrize(
    ("runnable", "limits", "expected"),
    [(8, [], 8), (8, [None, 2.0], 2), (8, [2.5, 4.0], 3), (2, [64.0], 2), (4, [0.25], 1)],
)
def test_the_core_count_respects_affinity_and_quota(runnable: int, limits: list[float | None], expected: int) -> None:
    assert smallest_limit(runnable, limits) == expected


def test_quotas_of_both_cgroup_versions_are_read() -> None:
    assert [parse_cpu_max(text) for text in ("max 100000\n", "150000 100000\n")] == [None, 1.5]
    assert [parse_cfs_quota(*text) for text in (("-1\n", "100000\n"), ("200000\n", "100000\n"))] == [None, 2]


def test_every_parent_cgroup_is_read() -> None:
    root = Path("/cg")
    assert list(cgroup_folders("0::/a/b\n", root))[:3] == [root / "a" / "b", root / "a", root]
    found = list(cgroup_folders("4:memory:/m\n3:cpu,cpuacct:/a\n", root))
    assert found == [root / "cpu,cpuacct" / "a", root / "cpu,cpuacct", root / "cpu" / "a", root / "cpu"]


def test_a_running_server_is_found_by_its_pid_file_and_a_stale_one_ignored(tmp_path: Path) -> None:
    for port in (50051, 50052):
        (tmp_path / f"serve-{port}.pid").write_text(f"{os.getpid()}\n")
    with pid_file(tmp_path, 50051):
        assert stat.S_IMODE((tmp_path / "serve-50051.pid").stat().st_mode) == 0o600
        assert running_servers(tmp_path) == [ServerProcess(pid=os.getpid(), port=50051)]
    assert running_servers(tmp_path) == []


def test_an_unwritable_home_does_not_prevent_serving(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pid_file(tmp_path / "home", 50051):
        pass


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "::1", "::"])  # noqa: S104  bound for a moment
def test_a_reserved_port_is_available_to_workers_only(host: str) -> None:
    with reserve_port(host, 0) as port, socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind((host, port))
        worker.listen()
        with pytest.raises(CannotListenError, match=f":{port}; choose another port"), reserve_port(host, port):
            pass


def test_a_closed_listener_refuses_new_connections_and_keeps_open_ones() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = listener.getsockname()
        with socket.create_connection(where) as outside, listener.accept()[0] as inside:
            close_listeners(where[1])
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(where)
            outside.sendall(b"still here")
            assert inside.recv(100) == b"still here"


@pytest.mark.parametrize(("age", "seconds"), [(0, 0), (60, 67)])
def test_a_retiring_worker_waits_as_long_as_its_youngest_connection_may_live(age: float, seconds: float) -> None:
    assert ServerSettings(max_connection_age_seconds=age).disconnect_timeout == pytest.approx(seconds)


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_of_another_machine_is_refused(host: str) -> None:
    for port in (0, 50051):
        with pytest.raises(CannotListenError, match=host), reserve_port(host, port):
            pass
