"""A call with a stream of requests: the handler starts at once and receives them as they arrive."""

import asyncio

from google.protobuf.message import Message

from ondeck_server.rpc.errors import BufferFullError, ProtocolError, UnreadableRequestError
from ondeck_server.rpc.method import Method
from ondeck_server.transports.http2.large_messages import LARGE_BYTES
from ondeck_server.transports.http2.request_queue import RequestQueue
from ondeck_server.transports.http2.stream import ServerStream
from ondeck_server.transports.http2.stream_writer import StreamLimits, StreamWriter
from ondeck_server.transports.http2.wire_format import Received, RequestHeaders, message_size


class ClientStream(ServerStream):
    """A call with a stream of requests; the caller may be ahead of the handler by its window and no more."""

    def __init__(
        self, writer: StreamWriter, stream: int, method: Method, headers: RequestHeaders, limits: StreamLimits
    ) -> None:
        super().__init__(writer, stream, method, headers, limits)
        self._queue: RequestQueue[Message] = RequestQueue(method.decode, self._open, self._on_next, self._on_read)
        self._requests = self._queue
        self.start()

    def receive(self, data: bytes, *, end: bool) -> None:
        """Process request bytes; `end`: the caller has half-closed the stream."""
        if self.is_over:
            return
        try:
            messages = self._decoder.feed(data)
            if messages and self._turn is not None:
                self._turn.is_arriving = False
            self._queue.put(messages)
            self._accept(len(data))
        except (ProtocolError, BufferFullError) as error:
            self._withheld += len(data)
            self.fail(error)
            return
        if not end:
            return
        if self._decoder.is_empty:
            self._queue.end()
        else:
            self.fail(UnreadableRequestError("the call ended in the middle of a message"))

    def _can_receive(self) -> bool:
        turn = self._turn
        if turn is not None and turn.is_arriving:
            return turn.has_started
        is_large = self._decoder.expected > self._window  # its turn comes after that of the one before it
        return not is_large and self._queue.size < self._window

    def _on_next(self) -> None:
        """End the turn of the request before: the handler is done with it."""
        turn = self._turn
        if turn is not None and not turn.is_arriving:
            self._leave()
            self._await_turn()
            self._grant_if_open()

    def _on_read(self, size: int) -> None:
        self.release(size)
        self._grant_if_open()

    def _grant_if_open(self) -> None:
        if self._withheld and self._can_receive():
            self._grant_withheld()

    async def _open(self, message: Received) -> bytes:
        """Return a message, a large one in a turn of its own."""
        size = message_size(message)
        if size >= LARGE_BYTES:
            started = asyncio.Event()
            self._enter(size, started.set)
            await started.wait()
        return await self._inflate(message)

    def _close(self, code: int) -> None:
        super()._close(code)
        self._queue.drop()
