"""A neighbour: a client that makes small calls at a steady rate on its own connection, in a process of its own.

    python -m tests.attack.neighbour TARGET CALLS_PER_SECOND WORKER_PID [CA_FILE]

For each line on standard input it prints the latencies since the line before as JSON, and ends with the input. A call
counts from the moment it was due, without the time in which the worker was ready to run and waited for a CPU: other
programs, the attacker among them, had it then. Samples are discarded while this process itself was late by more than
30 ms: then the machine was busy, not the server. So are calls that are due while too many are under way.
"""

import asyncio
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, cast

import hpack
import uvloop

from tests.attack.frames import (
    ACK,
    END_STREAM,
    HEADER_BYTES,
    PREFACE,
    ErrorCode,
    FrameType,
    call,
    frame,
    settings,
    window_update,
)
from tests.conformance.stock_client import BALL, PREDICT

LATE: Final = 0.03  # seconds
_TAIL: Final = 0.1  # seconds after a stall in which the server catches up
_HUNG: Final = 60.0  # seconds after which a call counts as failed
_MAX_CALLS: Final = 100  # at once: those that are due on a machine too busy for more are discarded
_MAX_STREAM: Final = 1 << 30
_LARGE_WINDOW: Final = 1 << 30
_MESSAGE: Final = BALL.SerializeToString()


@dataclass(kw_only=True)
class Latencies:
    """Latencies in milliseconds of the calls that count, and how many failed or do not count."""

    calls: int = 0
    failed: int = 0
    discarded: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    errors: list[str] = field(default_factory=list)


class NeighbourConnection(asyncio.Protocol):
    """One connection; `pending` maps a stream to the future of its status."""

    def __init__(self) -> None:
        self.pending: dict[int, asyncio.Future[str]] = {}
        self.is_usable = True
        self._stream = -1
        self._received = bytearray()
        self._decoder = hpack.Decoder()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start HTTP/2."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(PREFACE + settings() + window_update(0, _LARGE_WINDOW))

    def start(self) -> "asyncio.Future[str]":
        """Send a call and return the future of its status."""
        self._stream += 2
        self.is_usable = self._stream < _MAX_STREAM
        answer = self.pending[self._stream] = asyncio.get_running_loop().create_future()
        self._transport.write(call(self._stream, PREDICT, _MESSAGE))
        return answer

    def data_received(self, received: bytes) -> None:
        """Handle complete frames."""
        self._received += received
        while len(self._received) >= HEADER_BYTES:
            end = HEADER_BYTES + int.from_bytes(self._received[:3])
            if len(self._received) < end:
                return
            kind, flags, stream = self._received[3], self._received[4], int.from_bytes(self._received[5:9])
            self._on_frame(kind, flags, stream, bytes(self._received[HEADER_BYTES:end]))
            del self._received[:end]

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the open calls."""
        self.is_usable = False
        for stream in list(self.pending):
            self._finish(stream, f"the connection is lost: {exc}")

    def _on_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == FrameType.HEADERS:
            found = dict(self._decoder.decode(payload, raw=True))
            if flags & END_STREAM:
                status = found.get(b"grpc-status", b"none").decode()
                self._finish(stream, "" if status == "0" else f"grpc-status {status}")
        elif kind == FrameType.RST_STREAM:
            self._finish(stream, f"RST_STREAM {ErrorCode(int.from_bytes(payload)).name}")
        elif kind == FrameType.GOAWAY:
            self.is_usable = False
        elif kind == FrameType.PING and not flags & ACK:
            self._transport.write(frame(FrameType.PING, ACK, 0, payload))
        elif kind == FrameType.SETTINGS and not flags & ACK:
            self._transport.write(frame(FrameType.SETTINGS, ACK))

    def _finish(self, stream: int, error: str) -> None:
        answer = self.pending.pop(stream, None)
        if answer is not None and not answer.done():
            answer.set_result(error)


class Neighbour:
    """Makes calls until it is cancelled; opens a new connection when the server sends GOAWAY."""

    def __init__(self, target: str, rate: float, worker: int, tls: ssl.SSLContext | None) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self._interval = 1 / rate
        self._schedstat = Path(f"/proc/{worker}/task/{worker}/schedstat")
        self._tls = tls
        self._samples: list[tuple[float, float]] = []  # when due, latency
        self._stalls: list[tuple[float, float]] = []
        self._errors: list[str] = []
        self._connection: NeighbourConnection | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Lock()
        self._skipped = 0

    async def run(self) -> None:
        """Make calls for ever."""
        due = time.perf_counter()
        while True:
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            now = time.perf_counter()
            if now - due > LATE:
                self._stalls.append((due - LATE, now + _TAIL))
            self._start(due)
            due = max(due + self._interval, now - 1)

    def _start(self, due: float) -> None:
        if len(self._tasks) >= _MAX_CALLS:
            self._skipped += 1
            return
        task = asyncio.create_task(self._call(due))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def take(self) -> Latencies:
        """Return the latencies since the last call of this method."""
        samples, self._samples = self._samples, []
        stalls, self._stalls = self._stalls, []
        errors, self._errors = self._errors, []
        skipped, self._skipped = self._skipped, 0
        kept = sorted(
            latency * 1000
            for due, latency in samples
            if not any(begin <= due + latency and due <= end for begin, end in stalls)
        )
        found = Latencies(
            calls=len(kept),
            failed=len(errors),
            discarded=len(samples) - len(kept) + skipped,
            errors=sorted(set(errors))[:3],
        )
        if kept:
            found.p50, found.p99, found.worst = kept[len(kept) // 2], kept[int(len(kept) * 0.99)], kept[-1]
        return found

    async def _call(self, due: float) -> None:
        waited = self._seconds_waited()
        try:
            async with asyncio.timeout(_HUNG):
                connection = await self._connect()
                error = await connection.start()
        except (TimeoutError, OSError) as failed:
            error = repr(failed)
        if error:
            self._errors.append(error)
        latency = time.perf_counter() - due
        self._samples.append((due, max(latency - (self._seconds_waited() - waited), 0.0)))

    def _seconds_waited(self) -> float:
        """Return how long the event loop of the worker has waited for a CPU; 0 once the worker has ended."""
        try:
            return int(self._schedstat.read_text().split()[1]) / 1e9
        except OSError:
            return 0.0

    async def _connect(self) -> NeighbourConnection:
        async with self._connecting:
            if self._connection is None or not self._connection.is_usable:
                host = self._host if self._tls else None
                _, self._connection = await asyncio.get_running_loop().create_connection(
                    NeighbourConnection, self._host, self._port, ssl=self._tls, server_hostname=host
                )
            return self._connection


async def main(target: str, rate: float, worker: int, ca_file: str = "") -> None:
    """Run until standard input ends."""
    tls = ssl.create_default_context(cafile=ca_file) if ca_file else None
    if tls is not None:
        tls.set_alpn_protocols(["h2"])
    neighbour = Neighbour(target, rate, worker, tls)
    calls = asyncio.create_task(neighbour.run())
    while await asyncio.to_thread(sys.stdin.readline):
        sys.stdout.write(json.dumps(asdict(neighbour.take())) + "\n")
        sys.stdout.flush()
    calls.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:]))
