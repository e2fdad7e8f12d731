"""The two kinds of calls: of one request, and of many."""

from google.protobuf.message import Message
from google.rpc import code_pb2

from ondeck_server.rpc.errors import UnreadableRequestError
from ondeck_server.rpc.method import Method
from ondeck_server.transports.http2.codec import ProtocolError
from ondeck_server.transports.http2.context import Http2CallContext
from ondeck_server.transports.http2.request_queue import RequestQueue
from ondeck_server.transports.http2.stream import ServerStream, StreamLimits, StreamWriter


class UnaryRequest(ServerStream):
    """A call of one request; it runs once the caller has said everything."""

    def __init__(
        self, line: StreamWriter, stream: int, method: Method, call: Http2CallContext, bounds: StreamLimits
    ) -> None:
        super().__init__(line, stream, method, call, bounds)
        self._request: bytes | None = None

    def take(self, data: bytes, *, end: bool) -> None:
        """Take bytes of the request."""
        if self.over:
            return
        if data:
            self._line.let(self._stream, len(data))
        try:
            for message in self._messages.feed(data):
                if self._request is not None:
                    raise ProtocolError(code_pb2.UNIMPLEMENTED, "the call takes one request, and more came")  # noqa: TRY301  one way out
                self._request = message
        except ProtocolError as refused:
            self.refuse(refused)
            return
        if end:
            self._start()

    async def _work(self) -> None:
        answering = self._method.handle(self.call, self._read())
        if self._method.many_answers:
            await self._send_all(answering)
            return
        self._send(await answering)
        self._finish()

    def _read(self) -> Message:
        if self._request is None or not self._messages.between:
            raise UnreadableRequestError("the call ended before its request had come")
        return self._method.read(self._request)


class ClientStreaming(ServerStream):
    """A call whose requests are answered as they come."""

    def __init__(
        self, line: StreamWriter, stream: int, method: Method, call: Http2CallContext, bounds: StreamLimits
    ) -> None:
        super().__init__(line, stream, method, call, bounds)
        self._requests: RequestQueue[Message] = RequestQueue(
            method.read, bounds.window, lambda size: line.let(stream, size)
        )
        self._start()

    def take(self, data: bytes, *, end: bool) -> None:
        """Take bytes of the requests."""
        if self.over:
            return
        try:
            self._requests.put(self._messages.feed(data), len(data))
            if end and not self._messages.between:
                raise UnreadableRequestError("the call ended in the middle of a message")  # noqa: TRY301  one way out
        except ProtocolError as refused:
            self._line.let(self._stream, len(data))
            self.refuse(refused)
        except UnreadableRequestError as cut:
            self._fail(cut)
            self._stop()
        else:
            if end:
                self._requests.end()

    async def _work(self) -> None:
        await self._send_all(self._method.handle(self.call, self._requests))

    def _close(self, code: int) -> None:
        super()._close(code)
        self._requests.drop()
