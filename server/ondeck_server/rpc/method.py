"""The rpcs of a service, each with all that a transport must know to carry it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import code_pb2

from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.errors import DeadlineExceededError, UnreadableRequestError
from ondeck_server.rpc.metrics import CallMetrics, MethodMetrics

DETAILS: Final = "grpc-status-details-bin"

Read: TypeAlias = Callable[[bytes], Message]
Write: TypeAlias = Callable[[Any], bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One rpc; `name` is `/package.Service/Rpc`, `handle` takes a `CallContext` and one request or an iterator."""

    name: str
    many_requests: bool
    many_answers: bool
    read: Read
    write: Write
    handle: Callable[..., Any]
    meter: MethodMetrics


def methods_of(service: ServiceDescriptor, handlers: object, meters: CallMetrics) -> Iterator[Method]:
    """Connect every rpc of a service with the method of `handlers` that has its name in snake case."""
    for method in service.methods:
        name = f"/{service.full_name}/{method.name}"
        yield Method(
            name=name,
            many_requests=method.client_streaming,
            many_answers=method.server_streaming,
            read=_reader(method),
            write=GetMessageClass(method.output_type).SerializeToString,
            handle=getattr(handlers, _snake(method.name)),
            meter=meters.of(service.full_name, method.name, _kind(method)),
        )


def admit(call: CallContext) -> None:
    """Refuse a call whose caller no longer waits.

    Raises:
        DeadlineExceededError: its time is over.
    """
    left = call.time_left()
    if left is not None and left <= 0:
        raise DeadlineExceededError("the deadline had passed before the call began")


def gone(call: CallContext) -> int:
    """Tell, as a status code, why a call ended that its caller no longer waits for."""
    left = call.time_left()
    return int(code_pb2.CANCELLED if left is None or left > 0 else code_pb2.DEADLINE_EXCEEDED)


def _kind(method: MethodDescriptor) -> str:
    """Return the type of an rpc as go-grpc-prometheus labels it."""
    kinds = {(False, False): "unary", (True, False): "client_stream", (False, True): "server_stream"}
    return kinds.get((method.client_streaming, method.server_streaming), "bidi_stream")


def _reader(method: MethodDescriptor) -> Read:
    """Make what reads a request; a transport itself would tell a caller less where it cannot be read."""
    kind = GetMessageClass(method.input_type)

    def read(request: bytes) -> Message:
        try:
            return kind.FromString(request)
        except DecodeError as broken:
            raise UnreadableRequestError(f"the request is no {method.input_type.full_name}: {broken}") from broken

    return read


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")
