"""Floods: frames that cost the sender little and the receiver work."""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Final

from tests.attack.attack import Attack, Round, Run, refused, repeat, send_all
from tests.attack.frames import (
    ACK,
    END_HEADERS,
    PADDED,
    Answer,
    FrameType,
    data,
    frame,
    header_block,
    headers,
    literal,
    reset,
    settings,
    window_update,
)
from tests.conformance.http2_client import frame_message
from tests.conformance.stock_client import BALL, PREDICT, STREAM_PREDICT

CALM: Final = "GOAWAY ENHANCE_YOUR_CALM"
UNBOUNDED: Final = "ends it, but the neighbour may wait longer"
_PART: Final = 1 << 16  # bytes of one send
_PARTS: Final = 128  # of a round at most
_STREAMS_PER_PART: Final = 200
_READ_SECONDS: Final = 3.0
_CONTROL: Final = refused("too_many_control_frames")
_BALL: Final = frame_message(BALL.SerializeToString())


def flood(content: bytes, opening: bytes = b"") -> Run:
    """Return a run that repeats bytes without end after an opening."""

    def run(round_: Round) -> Answer:
        return _send(round_, opening, [repeat(content, _PART)] * _PARTS)

    return run


def flood_streams(content: "list[tuple[int, bytes]]") -> Run:
    """Return a run that sends frames, given by type and payload, on one new stream after another."""

    def part(first: int) -> bytes:
        streams = range(first, first + 2 * _STREAMS_PER_PART, 2)
        return b"".join(
            frame(kind & 0xFF, kind >> 8, stream, payload.replace(_OWN_ID, stream.to_bytes(4, "big")))
            for stream in streams
            for kind, payload in content
        )

    def run(round_: Round) -> Answer:
        parts = (part(first) for first in count(1, 2 * _STREAMS_PER_PART))
        return _send(round_, b"", _first(parts, _PARTS))

    return run


_OWN_ID: Final = b"\xff\xfe\xfd\xfc"  # stands for the stream id in a payload
_OPEN_UNARY: Final = headers(1, PREDICT)
_OPEN_STREAM: Final = headers(1, STREAM_PREDICT)
_HEADERS: Final = FrameType.HEADERS | END_HEADERS << 8


def _first(parts: Iterator[bytes], number: int) -> Iterator[bytes]:
    return (part for _, part in zip(range(number), parts, strict=False))


def _send(round_: Round, opening: bytes, parts: Iterable[bytes]) -> Answer:
    connection = round_.connect()
    connection.send(opening)
    send_all(connection, round_, parts)
    return connection.read(_READ_SECONDS)


def after_goaway(round_: Round) -> Answer:
    """Provoke GOAWAY, read it, and go on sending."""
    connection = round_.connect()
    connection.send(frame(FrameType.PING, payload=bytes(8)) * 20)
    connection.read(_READ_SECONDS)
    send_all(connection, round_, [repeat(headers(1, PREDICT) + data(1, _BALL), _PART)] * _PARTS)
    return connection.answer


FLOODS: Final = (
    Attack(
        name="pings",
        kind="CVE-2019-9512",
        run=flood(frame(FrameType.PING, payload=bytes(8))),
        answers=(CALM,),
        counters=refused("too_many_pings"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="ping acknowledgements",
        kind="flood",
        run=flood(frame(FrameType.PING, ACK, payload=bytes(8))),
        answers=(CALM,),
        counters=_CONTROL,
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="SETTINGS",
        kind="CVE-2019-9515",
        run=flood(settings()),
        answers=(CALM,),
        counters=refused("too_many_control_frames", "flood"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="SETTINGS of 100 entries",
        kind="CVE-2020-11080",
        run=flood(frame(FrameType.SETTINGS, payload=b"\0\x08\0\0\0\0" * 100)),
        answers=(CALM,),
        counters=refused("flood"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="RST_STREAM on one stream",
        kind="CVE-2019-9514",
        run=flood(reset(1), _OPEN_UNARY),
        answers=(CALM,),
        counters=refused("too_many_control_frames", "too_many_resets"),
    ),
    Attack(
        name="rapid reset",
        kind="CVE-2023-44487",
        run=flood_streams([(_HEADERS, header_block(PREDICT)), (FrameType.RST_STREAM, b"\0\0\0\x08")]),
        answers=(CALM,),
        counters=refused("too_many_resets"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="rapid reset of complete requests",
        kind="CVE-2023-44487",
        run=flood_streams(
            [
                (_HEADERS, header_block(PREDICT)),
                (FrameType.DATA | 1 << 8, _BALL),
                (FrameType.RST_STREAM, b"\0\0\0\x08"),
            ]
        ),
        answers=("OK", CALM),  # a request whose reset arrives in a later packet may be answered first
        counters=refused("too_many_resets"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="MadeYouReset: WINDOW_UPDATE of 0",
        kind="CVE-2025-8671",
        run=flood_streams([(_HEADERS, header_block(PREDICT)), (FrameType.WINDOW_UPDATE, bytes(4))]),
        answers=("GOAWAY PROTOCOL_ERROR",),
        counters=refused("protocol_error"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="MadeYouReset: window overflow",
        kind="CVE-2025-8671",
        run=flood_streams([(_HEADERS, header_block(PREDICT)), (FrameType.WINDOW_UPDATE, b"\x7f\xff\xff\xff")]),
        answers=("GOAWAY FLOW_CONTROL_ERROR",),
        counters=refused("protocol_error"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="MadeYouReset: wrong content-length",
        kind="CVE-2025-8671",
        run=flood_streams(
            [(_HEADERS, header_block(PREDICT, [("content-length", "3")])), (FrameType.DATA | 1 << 8, _BALL)]
        ),
        answers=("RST_STREAM PROTOCOL_ERROR", "RST_STREAM REFUSED_STREAM", CALM),
        counters=refused("too_many_resets", "flood"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="MadeYouReset: invalid header name",
        kind="CVE-2025-8671",
        run=flood_streams([(_HEADERS, header_block(PREDICT, [("Upper", "a")]))]),
        answers=("RST_STREAM PROTOCOL_ERROR", "RST_STREAM REFUSED_STREAM", CALM),
        counters=refused("too_many_resets", "flood"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="MadeYouReset: stream that depends on itself",
        kind="CVE-2025-8671",
        run=flood_streams([(_HEADERS, header_block(PREDICT)), (FrameType.PRIORITY, _OWN_ID + b"\0")]),
        answers=("RST_STREAM REFUSED_STREAM", CALM, "GOAWAY PROTOCOL_ERROR"),
        counters=refused("too_many_control_frames", "flood", "too_many_resets", "protocol_error"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="MadeYouReset: DATA after END_STREAM",
        kind="CVE-2025-8671",
        run=flood_streams(
            [(_HEADERS, header_block(PREDICT)), (FrameType.DATA | 1 << 8, _BALL), (FrameType.DATA, b"a")]
        ),
        answers=("OK", "GOAWAY STREAM_CLOSED", "GOAWAY PROTOCOL_ERROR"),  # OK as above
        counters=refused("protocol_error"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="empty DATA",
        kind="CVE-2019-9518",
        run=flood(data(1, b""), _OPEN_UNARY),
        answers=(CALM,),
        counters=_CONTROL,
    ),
    Attack(
        name="empty DATA on a stream of requests",
        kind="CVE-2019-9518",
        run=flood(data(1, b""), _OPEN_STREAM),
        answers=(CALM,),
        counters=_CONTROL,
    ),
    Attack(
        name="padding without DATA",
        kind="flood",
        run=flood(frame(FrameType.DATA, PADDED, 1, b"\xff" + bytes(255)), _OPEN_UNARY),
        answers=(CALM, "GOAWAY FLOW_CONTROL_ERROR"),
        counters=_CONTROL,
    ),
    Attack(
        name="WINDOW_UPDATE of the connection",
        kind="flood",
        run=flood(window_update(0, 1)),
        answers=(CALM,),
        counters=_CONTROL,
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="WINDOW_UPDATE of a stream",
        kind="flood",
        run=flood(window_update(1, 1), _OPEN_UNARY),
        answers=(CALM,),
        counters=_CONTROL,
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="PRIORITY",
        kind="CVE-2019-9513",
        run=flood(frame(FrameType.PRIORITY, stream=1, payload=b"\0\0\0\3\1")),
        answers=(CALM,),
        counters=_CONTROL,
    ),
    Attack(
        name="PRIORITY_UPDATE",
        kind="flood",
        run=flood(frame(FrameType.PRIORITY_UPDATE, payload=b"\0\0\0\1u=3")),
        answers=(CALM,),
        counters=_CONTROL,
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="frames of an unknown type",
        kind="flood",
        run=flood(frame(FrameType.UNKNOWN, payload=b"x" * 16)),
        answers=(CALM,),
        counters=_CONTROL,
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="CONTINUATION without end",
        kind="CVE-2024-28182, CVE-2024-27316",
        run=flood(
            frame(FrameType.CONTINUATION, 0, 1, literal("x-a", "b")),
            frame(FrameType.HEADERS, 0, 1, header_block(PREDICT)),
        ),
        answers=(CALM,),
        counters=refused("flood"),
        grpcio="keeps the whole header block in memory",
    ),
    Attack(
        name="empty CONTINUATION without end",
        kind="CVE-2019-9518",
        run=flood(frame(FrameType.CONTINUATION, 0, 1), frame(FrameType.HEADERS, 0, 1, header_block(PREDICT))),
        answers=(CALM,),
        counters=refused("flood"),
        grpcio=UNBOUNDED,
    ),
    Attack(
        name="frames after GOAWAY",
        kind="protocol",
        run=after_goaway,
        answers=(CALM,),
        counters=refused("too_many_pings"),
    ),
)
