"""What channelz sees in this process: its servers and the connections that they have."""

from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1.channelz import ChannelzServicer

MOST_SOCKETS: Final = 100  # of a server; each is asked about on the loop that also answers calls


class _Refused(Exception):  # noqa: N818  what channelz does to a question; not an error of ours
    """Channelz does not answer, and says why."""


class _Context:
    """Takes what the servicer says when it cannot answer; nothing more of a context is asked for."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Wait for the details."""

    def set_details(self, details: str) -> None:
        raise _Refused(details)


def seen() -> dict[str, Any]:
    """Tell what channelz sees, as JSON values; sockets that went away meanwhile are left out."""
    servers = _ask(ChannelzServicer.GetServers, channelz_pb2.GetServersRequest())
    return {"server": [_server(server) for server in servers.server]}


def anybody_connected() -> bool:
    """Tell whether a server of this process has a connection."""
    servers = _ask(ChannelzServicer.GetServers, channelz_pb2.GetServersRequest())
    return any(_sockets(server, at_most=1).socket_ref for server in servers.server)


def _server(server: Any) -> dict[str, Any]:  # noqa: ANN401  its messages have no types
    connected = _sockets(server, at_most=MOST_SOCKETS)
    sockets = [found for each in connected.socket_ref if (found := _socket(each.socket_id)) is not None]
    return {**MessageToDict(server), "socket": sockets, "allSocketsListed": connected.end}


def _sockets(server: Any, *, at_most: int) -> Any:  # noqa: ANN401  as above
    request = channelz_pb2.GetServerSocketsRequest(server_id=server.ref.server_id, max_results=at_most)
    return _ask(ChannelzServicer.GetServerSockets, request)


def _socket(socket_id: int) -> dict[str, Any] | None:
    try:
        answer = _ask(ChannelzServicer.GetSocket, channelz_pb2.GetSocketRequest(socket_id=socket_id))
    except _Refused:
        return None
    return MessageToDict(answer.socket)


def _ask(method: Any, request: Message) -> Any:  # noqa: ANN401  as above
    return method(request, _Context())
