"""What an attack is: rounds of bytes against a server, and what must be seen of it."""

import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.attack.frames import PREFACE, TIMEOUT, Answer, RawConnection, settings

REFUSALS: Final = "ondeck_http2_refusals_total"
HANDLED: Final = "grpc_server_handled_total"
Run: TypeAlias = Callable[["Round"], Answer]


@dataclass(kw_only=True)
class Round:
    """One round of an attack: it may connect, and must end at `end`, by `time.monotonic`."""

    target: str
    tls: ssl.SSLContext | None
    end: float
    _opened: list[RawConnection] = field(default_factory=list)

    def connect(
        self,
        *,
        preface: bytes = PREFACE + settings(),
        tls: ssl.SSLContext | None = None,
        receive_buffer: int | None = None,
        is_acknowledging: bool = True,
    ) -> RawConnection:
        """Open a connection, which `close` closes."""
        opened = RawConnection(
            self.target,
            tls=tls or self.tls,
            preface=preface,
            receive_buffer=receive_buffer,
            is_acknowledging=is_acknowledging,
        )
        self._opened.append(opened)
        return opened

    @property
    def left(self) -> float:
        """Seconds until the end."""
        return max(self.end - time.monotonic(), 0.0)

    def wait(self) -> None:
        """Wait until the end."""
        time.sleep(self.left)

    def wait_answer(self) -> None:
        """Wait until the connections have an answer: a server on a busy machine is slow."""
        for each in self._opened:
            if not each.answer.seen:
                each.read(TIMEOUT, until=1)

    def close(self) -> None:
        """Close every connection."""
        for each in self._opened:
            each.close()
        self._opened.clear()


@dataclass(frozen=True, kw_only=True)
class Attack:
    """One attack.

    `answers` are those that nghttp2 may give, or none if `can_be_silent`; with `counters` the series of which one must
    move. `grpcio` says what the transport grpcio cannot do; "": it withstands the attack. `least_seconds` is the time
    until a timeout of the server.
    """

    name: str
    kind: str
    run: Run
    answers: tuple[str, ...]
    counters: tuple[str, ...] = ()
    grpcio: str = ""
    needs_tls: bool = False
    can_be_silent: bool = False
    least_seconds: float = 0.0

    @property
    def has_short_timeouts(self) -> bool:
        """Return whether the attack needs a server whose timeouts pass in seconds."""
        return self.least_seconds > 0

    @property
    def is_answered(self) -> bool:
        """Return whether nghttp2 answers each round."""
        return bool(self.answers) and not self.can_be_silent


def refused(*reasons: str) -> tuple[str, ...]:
    """Return the series of refusals for reasons."""
    return tuple(f'{REFUSALS}{{reason="{reason}"}}' for reason in reasons)


def handled(*codes: str) -> tuple[str, ...]:
    """Return the label of calls that ended with a status."""
    return tuple(f'grpc_code="{code}"' for code in codes)


def repeat(content: bytes, at_least: int) -> bytes:
    """Repeat bytes until there are enough."""
    return content * (at_least // len(content) + 1)


def send_all(connection: RawConnection, round_: Round, parts: Iterable[bytes]) -> None:
    """Send parts until the server does not take one or the time is up."""
    for part in parts:
        if not round_.left or not connection.send(part, min(round_.left, 1.0)):
            return
