"""The lifetime of a connection: keepalive pings, idle and age limits, and the graceful shutdown by GOAWAY."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

import ngh2

from ondeck_server.transports.http2.rejection import RefusalReason

_GOAWAY_PING: Final = b"goaway\0\0"  # opaque data, eight bytes
_GOAWAY_PING_SECONDS: Final = 5.0  # until the second GOAWAY is sent without an acknowledgement
_MAX_PING_STRIKES: Final = 2  # pings sooner than the minimum interval that are tolerated
_LONGEST_INTERVAL: Final = 10.0  # seconds between two checks
_FLOOD_SECONDS: Final = 10.0
_MAX_OVERHEAD_BYTES: Final = 1 << 17  # in that time without response data; 7,000 to 14,000 empty frames
_MAX_IN_FLIGHT_BYTES: Final = 1 << 24  # of requests whose streams the server has ended
_MAX_RESETS: Final = 4_000  # of streams, by either side, under the same condition
_MIN_CONNECTION_WINDOW: Final = 1 << 28  # bytes; a stream reset within a frame loses window that never comes back
_AGE_JITTER: Final = 0.1  # connections that were opened together do not all end together


@dataclass(frozen=True, kw_only=True)
class KeepaliveConfig:
    """Times in seconds; 0 of `max_age`, `max_age_grace` and `max_idle`: no limit."""

    ping_after: float
    ping_timeout: float
    min_ping_interval: float
    max_age: float
    max_age_grace: float
    max_idle: float
    request_timeout: float

    @property
    def max_silence(self) -> float:
        """Longest time without a byte from a client that is alive."""
        return self.ping_after + self.ping_timeout


class ManagedConnection(Protocol):
    """What the lifecycle needs of its connection."""

    @property
    def calls(self) -> int:
        """Number of open calls."""

    def flush_soon(self) -> None:
        """Write frames that are ready."""

    def reject(self, reason: RefusalReason, text: str) -> None:
        """Write what is ready, log and count the reason, and end the connection."""

    def abort(self) -> None:
        """End the connection at once."""

    def count_refusal(self, reason: RefusalReason) -> None:
        """Count why the connection ends."""

    def end_slow_requests(self, seconds: float) -> None:
        """End the calls whose request has not been complete for longer."""


class ConnectionLifecycle:
    """Applies a `KeepaliveConfig` to one connection."""

    def __init__(self, config: KeepaliveConfig, http: ngh2.Connection, connection: ManagedConnection) -> None:
        self._config = config
        self._http = http
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._received_at = self._active_at = self._counted_since = self._loop.time()
        self._frame_since: float | None = self._received_at  # when an incomplete frame began, or the preface
        self._pinged_at: float | None = None
        self._client_pinged_at, self._ping_strikes, self._overhead, self._resets = -inf, 0, 0, 0
        self._in_flight = 0
        self._is_going_away = self._has_sent_goaway = self._is_ending = False
        self._interval = min(
            config.ping_after / 2,
            config.ping_timeout / 2,
            (config.max_idle or inf) / 2,
            config.request_timeout / 2,
            _LONGEST_INTERVAL,
        )
        self._timers = {"check": self._loop.call_later(self._interval, self._check)}
        if config.max_age:
            jitter = random.uniform(1 - _AGE_JITTER, 1 + _AGE_JITTER)  # noqa: S311  not a secret
            self._schedule("age", config.max_age * jitter, self.begin_goaway)

    def on_received(self) -> None:
        """Record that bytes arrived."""
        self._received_at = self._loop.time()
        self._pinged_at = None
        if self._frame_since is None:
            self._frame_since = self._received_at

    def on_frame(self) -> None:
        """Record that the bytes that arrived completed a frame."""
        self._frame_since = None

    def on_data_sent(self) -> None:
        """Record that response data left; the client may ping again."""
        self._client_pinged_at, self._ping_strikes, self._overhead, self._resets = -inf, 0, 0, 0
        self._active_at = self._loop.time()

    def on_ping(self) -> None:
        """Count a ping of the client; too many end the connection."""
        now = self._loop.time()
        self._ping_strikes += now - self._client_pinged_at < self._config.min_ping_interval
        self._client_pinged_at = now
        if self._ping_strikes > _MAX_PING_STRIKES:
            self._end_flood(RefusalReason.TOO_MANY_PINGS)

    def on_reset(self) -> None:
        """Count a stream that was reset; too many without response data between them end the connection."""
        self._resets += 1
        if self._resets > _MAX_RESETS:
            self._end_flood(RefusalReason.TOO_MANY_RESETS)

    def on_early_end(self, window: int) -> None:
        """Allow for the bytes of an incomplete request that are on their way although its stream has ended."""
        self._in_flight = min(self._in_flight + window, _MAX_IN_FLIGHT_BYTES)

    def on_overhead(self, size: int) -> None:
        """Count received bytes that are not part of a request: frame headers, control frames and unknown frames.

        Too many without response data between them end the connection. `size` is negative when a request is complete
        whose bytes have been counted.
        """
        self._overhead = max(self._overhead + size, 0)
        if self._overhead > _MAX_OVERHEAD_BYTES + self._in_flight:
            self._end_flood(RefusalReason.TOO_MANY_CONTROL_FRAMES)

    def on_ping_acknowledged(self, opaque_data: bytes) -> None:
        """Complete the graceful shutdown when the client has acknowledged its ping."""
        if opaque_data == _GOAWAY_PING:
            self._send_final_goaway()

    def begin_goaway(self) -> None:
        """Begin a graceful shutdown: the client opens no new streams, calls that are open or under way are served.

        The first GOAWAY refuses nothing. The server may refuse streams only once the client has read it, which the
        acknowledgement of a ping sent behind it proves.
        """
        if self._is_going_away:
            return
        self._is_going_away = True
        with suppress(ngh2.NGH2Error):  # the session has ended
            self._http.send_shutdown_notice()
            self._http.ping(_GOAWAY_PING)
        self._connection.flush_soon()
        self._schedule("goaway", _GOAWAY_PING_SECONDS, self._send_final_goaway)
        if self._config.max_age_grace:
            self._schedule("grace", self._config.max_age_grace, self._connection.abort)

    def end(self) -> None:
        """Stop all timers."""
        self._is_going_away = True
        for timer in self._timers.values():
            timer.cancel()

    def _end_flood(self, reason: RefusalReason) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        with suppress(ngh2.NGH2Error):  # the session has ended
            self._http.send_goaway(ngh2.ErrorCode.ENHANCE_YOUR_CALM, debug_data=reason.encode())
        self._connection.reject(reason, reason.value)

    def _send_final_goaway(self) -> None:
        if not self._has_sent_goaway:
            self._has_sent_goaway = True
            with suppress(ngh2.NGH2Error):  # as above
                self._http.send_goaway(ngh2.ErrorCode.NO_ERROR)
            self._connection.flush_soon()

    def _check(self) -> None:
        now, config = self._loop.time(), self._config
        if now - self._counted_since >= _FLOOD_SECONDS:
            self._overhead, self._in_flight, self._resets, self._counted_since = 0, 0, 0, now
        if self._connection.calls:
            self._active_at = now
            self._connection.end_slow_requests(config.request_timeout)
        if self._frame_since is not None and now - self._frame_since >= config.request_timeout:
            self._connection.count_refusal(RefusalReason.SLOW_REQUEST)
            self._connection.abort()
            return
        if self._pinged_at is not None and now - self._pinged_at >= config.ping_timeout:
            self._connection.count_refusal(RefusalReason.NO_PING_ACKNOWLEDGEMENT)
            self._connection.abort()
            return
        if self._pinged_at is None and now - self._received_at >= config.ping_after:
            with suppress(ngh2.NGH2Error):  # as above
                self._http.ping()
            self._pinged_at = now
            self._connection.flush_soon()
        is_idle = config.max_idle and now - self._active_at >= config.max_idle
        with suppress(ngh2.NGH2Error):  # as above
            if is_idle or self._http.local_window_size < _MIN_CONNECTION_WINDOW:
                self.begin_goaway()
        self._schedule("check", self._interval, self._check)

    def _schedule(self, name: str, seconds: float, callback: Callable[[], None]) -> None:
        self._timers[name] = self._loop.call_later(seconds, callback)
