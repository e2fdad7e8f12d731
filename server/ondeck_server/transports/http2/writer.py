"""What a connection writes: answers of all its calls, once a turn of the loop, and no faster than they are read."""

import asyncio
from collections.abc import Callable
from typing import Final

import ngh2

from ondeck_server.transports.http2.headers import Field

_MOST_UNREAD: Final = 1 << 16  # bytes of answers of a call, beyond its window


class FrameWriter:
    """Writes for one connection; `worked` hears whenever a part of an answer leaves, `wrote` whenever anything does."""

    def __init__(
        self,
        http: ngh2.Connection,
        transport: asyncio.WriteTransport,
        worked: Callable[[], None],
        wrote: Callable[[], None],
    ) -> None:
        self._http = http
        self._worked = worked
        self._wrote = wrote
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = transport
        self._heard_out: set[int] = set()  # calls whose callers have said everything
        self._unheard: set[int] = set()  # calls that ended before that
        self._crowded: dict[int, asyncio.Future[None]] = {}
        self._flushing = self._held_up = False

    def drop(self) -> None:
        """Write no more."""
        self._transport = None

    def begin(self, stream: int, fields: list[Field], *, end: bool = False) -> None:
        """Send the first headers of an answer."""
        self._worked()
        try:
            self._http.send_response(stream, fields, end_stream=end)
        except ngh2.StreamUnavailableError:  # the caller has gone away, and that is about to be heard
            return
        self._answered(stream, end=end)

    def say(self, stream: int, data: bytes) -> None:
        """Send bytes of an answer."""
        try:
            self._http.send_data(stream, data)
        except ngh2.StreamUnavailableError:  # as above
            return
        self._answered(stream, end=False)

    def end(self, stream: int, fields: list[Field]) -> None:
        """Send the last headers of an answer."""
        try:
            self._http.send_trailers(stream, fields)
        except ngh2.StreamUnavailableError:  # as above
            return
        self._answered(stream, end=True)

    def let(self, stream: int, size: int) -> None:
        """Let the caller send so many bytes more."""
        if self._transport is None:
            return
        try:
            self._http.acknowledge_received_data(size, stream)
        except (ngh2.StreamUnavailableError, ngh2.ConnectionStateError):  # as above, or the connection is about to end
            return
        self.flush_soon()

    def full(self, stream: int) -> bool:
        """Tell whether more of an answer waits than should."""
        return self._transport is not None and self._http.queued_body_size(stream) > _MOST_UNREAD

    async def room(self, stream: int) -> None:
        """Wait until that is no longer so."""
        self._crowded[stream] = self._loop.create_future()
        await self._crowded[stream]

    def heard_out(self, stream: int) -> None:
        """Take note that a caller has said everything."""
        self._heard_out.add(stream)

    def forget(self, stream: int) -> None:
        """Take note that a call is gone, from both sides."""
        self._heard_out.discard(stream)
        self._unheard.discard(stream)
        self._crowded.pop(stream, None)

    def hold_up(self) -> None:
        """Write nothing until `go_on`: the other end does not read."""
        self._held_up = True

    def go_on(self) -> None:
        """Write again."""
        self._held_up = False
        self.flush_soon()

    def flush_soon(self) -> None:
        """Write what there is, once for all that happens in this turn of the loop."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def write(self) -> None:
        """Write what there is."""
        if self._transport is None:
            return
        waiting = self._http.queued_body_size()
        try:
            data = self._http.data_to_send()
        except ngh2.NGH2Error:  # the connection has failed; there is nobody to write to
            return
        if data:
            self._transport.write(data)
        if self._http.queued_body_size() < waiting:
            self._worked()
        self._wrote()

    def _flush(self) -> None:
        self._flushing = False
        if self._held_up:
            return
        self.write()
        if self._transport is None:
            return
        if self._unheard:
            self._hang_up()
        if self._crowded:
            self._make_room()

    def _answered(self, stream: int, *, end: bool) -> None:
        if end and stream not in self._heard_out:
            self._unheard.add(stream)
        self.flush_soon()

    def _hang_up(self) -> None:
        """Tell callers whose calls are over that nobody listens to them any more."""
        told = [stream for stream in self._unheard if not self._http.queued_body_size(stream)]
        for stream in told:
            self._unheard.discard(stream)
            self._http.reset_stream(stream, ngh2.ErrorCode.NO_ERROR)
        if told:
            self.write()

    def _make_room(self) -> None:
        for stream in [each for each in self._crowded if not self.full(each)]:
            waiting = self._crowded.pop(stream)
            if not waiting.done():
                waiting.set_result(None)
