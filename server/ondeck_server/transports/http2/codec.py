"""Messages in the bytes of a stream: each behind a flag and its length, compressed or not. Pure."""

import struct
import zlib
from typing import Final

from google.rpc import code_pb2

PREFIX: Final = 5
_GZIP: Final = 16 + zlib.MAX_WBITS
_WINDOWS: Final = {b"gzip": _GZIP, b"deflate": zlib.MAX_WBITS}
_PACK: Final = struct.Struct(">BI").pack


class ProtocolError(Exception):
    """A call ends with this status, whatever its handler would have said."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class MessageDecoder:
    """Takes the bytes of a stream and gives the messages in them, none longer than `longest` bytes."""

    def __init__(self, longest: int, encoding: bytes = b"identity") -> None:
        self._longest = longest
        self._encoding = encoding
        self._held = bytearray()

    @property
    def between(self) -> bool:
        """Tell whether no message has begun and not ended."""
        return not self._held

    def feed(self, data: bytes) -> list[bytes]:
        """Take bytes, and give the messages that they complete.

        Raises:
            ProtocolError: what came is too long, or not what it claims to be.
        """
        if not self._held and data and not data[0] and len(data) == PREFIX + int.from_bytes(data[1:PREFIX], "big"):
            if len(data) > PREFIX + self._longest:
                raise self._too_long(len(data) - PREFIX)
            return [data[PREFIX:]]
        self._held += data
        return self._complete()

    def _complete(self) -> list[bytes]:
        held, messages, at = self._held, [], 0
        while len(held) - at >= PREFIX:
            length = int.from_bytes(held[at + 1 : at + PREFIX], "big")
            if length > self._longest:
                raise self._too_long(length)
            end = at + PREFIX + length
            if len(held) < end:
                break
            messages.append(self._opened(held[at], bytes(held[at + PREFIX : end])))
            at = end
        del held[:at]
        return messages

    def _opened(self, flag: int, message: bytes) -> bytes:
        if not flag or (flag == 1 and not message):
            return message
        if flag != 1 or self._encoding == b"identity":
            raise ProtocolError(code_pb2.INTERNAL, f"a message has the flag {flag}, and the call no encoding for it")
        window = _WINDOWS.get(self._encoding)
        if window is None:
            known = ", ".join(name.decode() for name in _WINDOWS)
            raise ProtocolError(code_pb2.UNIMPLEMENTED, f"messages may be compressed by {known} alone")
        return self._inflated(message, window)

    def _inflated(self, message: bytes, window: int) -> bytes:
        inflating = zlib.decompressobj(window)
        try:
            found = inflating.decompress(message, self._longest + 1)
        except zlib.error as broken:
            raise ProtocolError(code_pb2.INTERNAL, "a message is not compressed as it claims") from broken
        if len(found) > self._longest:
            raise self._too_long(len(found))
        if not inflating.eof or inflating.unused_data:
            raise ProtocolError(code_pb2.INTERNAL, "a compressed message is cut off, or goes on behind its end")
        return found

    def _too_long(self, length: int) -> ProtocolError:
        text = f"a message of {length} bytes; at most {self._longest} are taken (ONDECK_MAX_MESSAGE_MIB)"
        return ProtocolError(code_pb2.RESOURCE_EXHAUSTED, text)


def encode(message: bytes, least_compressed: int | None = None) -> bytes:
    """Put a message behind its flag and length; compressed by gzip from so many bytes on, None: never."""
    if least_compressed is None or len(message) < least_compressed:
        return _PACK(0, len(message)) + message
    packer = zlib.compressobj(wbits=_GZIP)
    packed = packer.compress(message) + packer.flush()
    return _PACK(1, len(packed)) + packed
