"""A Savant of our own on the loopback: answers each day as it is told."""

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import pytest

from ondeck_ingest.sources.breaker import Breaker
from ondeck_ingest.sources.savant import Savant


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer: its status, its body, how many bytes it claims, how long it keeps one waiting, before and within.

    `raw` is all there is of it, from its first line on.
    """

    body: bytes = b""
    status: int = 200
    claims: int | None = None
    delay: float = 0.0
    trickle: float = 0.0
    raw: bytes = b""


@dataclass(kw_only=True)
class FakeSavant:
    """Where it listens, what it says of each day and as a register of players, and what it was asked."""

    url: str
    replies: dict[date, Reply] = field(default_factory=dict)
    otherwise: Reply = field(default_factory=Reply)
    register: Reply = field(default_factory=lambda: Reply(status=503))
    asked: list[date] = field(default_factory=list)
    patience: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def savant() -> Iterator[FakeSavant]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(fake.register if self.path == "/register" else self._reply_of_day())

        def _reply_of_day(self) -> Reply:
            day = date.fromisoformat(parse_qs(urlparse(self.path).query)["game_date_gt"][0])
            fake.asked.append(day)
            return fake.replies.get(day, fake.otherwise)

        def _answer(self, reply: Reply) -> None:
            fake.patience.wait(reply.delay)
            if not reply.raw:
                self.send_response(reply.status)
                self.send_header("Content-Length", str(len(reply.body) if reply.claims is None else reply.claims))
                self.end_headers()
            said = reply.raw or reply.body
            pieces = [said] if not reply.trickle else [bytes([each]) for each in said]
            with suppress(ConnectionError):
                for piece in pieces:
                    self.wfile.write(piece)
                    fake.patience.wait(reply.trickle)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake = FakeSavant(url=f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield fake
    fake.patience.set()
    server.shutdown()
    server.server_close()
    thread.join()


def savant_at(url: str, *, attempts: int = 1, failures: int = 1000, seconds: float = 60.0) -> Savant:
    """An impatient source that asks there; its breaker opens after so many failures, for so many seconds."""
    breaker = Breaker("savant", failures=failures, seconds=seconds)
    return Savant(url=url, timeout=1.0, attempts=attempts, breaker=breaker, longest_pause=0.01)
