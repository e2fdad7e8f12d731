"""How long a connection is kept: pings either way, its age, and how it is told farewell."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

import ngh2

_FAREWELL: Final = b"farewell"  # of a ping has eight bytes
_FAREWELL_SECONDS: Final = 5.0  # for its answer
_STRIKES: Final = 2  # pings in too much haste that are forgiven
_TOO_MANY: Final = b"too_many_pings"  # as gRPC's clients know it
_NARROW: Final = 1 << 28  # bytes that all calls together may still send; what a reset cuts off stays lost
_JITTER: Final = 0.1  # of an age, so that connections made together do not all end together


@dataclass(frozen=True, kw_only=True)
class KeepaliveConfig:
    """What keeps a connection, in seconds; 0 of `age`, `grace` and `idle`: without limit."""

    keepalive: float
    keepalive_timeout: float
    ping: float
    age: float
    grace: float
    idle: float

    @property
    def silence(self) -> float:
        """How long nothing need be heard of a client that is there."""
        return self.keepalive + self.keepalive_timeout


class ManagedConnection(Protocol):
    """What is kept."""

    @property
    def calls(self) -> int:
        """Count its open calls."""

    def flush_soon(self) -> None:
        """Write what there is to write."""

    def close(self) -> None:
        """End it, having written that."""

    def abort(self) -> None:
        """End it at once."""


class ConnectionLifecycle:
    """Keeps one connection to its terms."""

    def __init__(self, terms: KeepaliveConfig, http: ngh2.Connection, kept: ManagedConnection) -> None:
        self._farewell_said = False
        self._terms = terms
        self._http = http
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._busy_at = self._loop.time()
        self._pinged_at: float | None = None
        self._ping_came_at, self._strikes = -inf, 0
        self._leaving = False
        self._every = min(terms.keepalive, terms.keepalive_timeout, terms.idle or inf) / 2
        self._timers = {"look": self._loop.call_later(self._every, self._look)}
        if terms.age:
            spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  no secret
            self._later("age", terms.age * spread, self.retire)

    def heard(self) -> None:
        """Take note that something came."""
        self._heard_at = self._loop.time()
        self._pinged_at = None

    def worked(self) -> None:
        """Take note that a part of an answer left: then the client may ping again."""
        self._ping_came_at, self._strikes = -inf, 0
        self._busy_at = self._loop.time()

    def pinged(self) -> None:
        """Take note of a ping; who sends too many is sent away."""
        now = self._loop.time()
        self._strikes += now - self._ping_came_at < self._terms.ping
        self._ping_came_at = now
        if self._strikes > _STRIKES:
            self._http.send_goaway(ngh2.ErrorCode.ENHANCE_YOUR_CALM, debug_data=_TOO_MANY)
            self._loop.call_soon(self._kept.close)

    def answered(self, ping: bytes) -> None:
        """Take note of an answer to a ping."""
        if ping == _FAREWELL:
            self._say_farewell()

    def retire(self) -> None:
        """Let the connection end: new calls go elsewhere, those on the way are answered, and so are the open ones.

        A client must have read that the server goes before the server may refuse what it sends: it has once it answers
        a ping sent after it.
        """
        if self._leaving:
            return
        self._leaving = True
        self._http.send_shutdown_notice()
        self._http.ping(_FAREWELL)
        self._kept.flush_soon()
        self._later("farewell", _FAREWELL_SECONDS, self._say_farewell)
        if self._terms.grace:
            self._later("grace", self._terms.grace, self._kept.abort)

    def end(self) -> None:
        """Stop all of this."""
        self._leaving = True
        for timer in self._timers.values():
            timer.cancel()

    def _say_farewell(self) -> None:
        if not self._farewell_said:
            self._farewell_said = True
            self._http.send_goaway(ngh2.ErrorCode.NO_ERROR)
            self._kept.flush_soon()

    def _look(self) -> None:
        now, terms = self._loop.time(), self._terms
        if self._kept.calls:
            self._busy_at = now
        if self._pinged_at is not None and now - self._pinged_at >= terms.keepalive_timeout:
            self._kept.abort()
            return
        if self._pinged_at is None and now - self._heard_at >= terms.keepalive:
            self._http.ping()
            self._pinged_at = now
            self._kept.flush_soon()
        if terms.idle and now - self._busy_at >= terms.idle:
            self.retire()
        if self._http.local_window_size < _NARROW:
            self.retire()
        self._later("look", self._every, self._look)

    def _later(self, name: str, seconds: float, do: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_later(seconds, do)
