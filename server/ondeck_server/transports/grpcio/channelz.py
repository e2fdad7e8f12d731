"""Snapshot of grpcio's channelz: the servers of this process and their connections."""

from typing import Any, Final

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc_channelz.v1 import channelz_pb2
from grpc_channelz.v1.channelz import ChannelzServicer

MAX_SOCKETS: Final = 100  # of a server; each is a query on the event loop that also serves calls


class _SocketGoneError(Exception):
    """Channelz knows no such socket."""


class _Context:
    """The part of a servicer context that the channelz servicer uses."""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Ignore the code; the details follow."""

    def set_details(self, details: str) -> None:
        raise _SocketGoneError(details)


def snapshot() -> dict[str, Any]:
    """Return servers and sockets in JSON form, without sockets that are closed meanwhile."""
    servers = _query(ChannelzServicer.GetServers, channelz_pb2.GetServersRequest())
    return {"server": [_server(server) for server in servers.server]}


def has_connections() -> bool:
    """Return whether a server of this process has a connection."""
    servers = _query(ChannelzServicer.GetServers, channelz_pb2.GetServersRequest())
    return any(_sockets(server, at_most=1).socket_ref for server in servers.server)


def _server(server: Any) -> dict[str, Any]:  # noqa: ANN401  the package has no types for its messages
    connected = _sockets(server, at_most=MAX_SOCKETS)
    sockets = [found for each in connected.socket_ref if (found := _socket(each.socket_id)) is not None]
    return {**MessageToDict(server), "socket": sockets, "allSocketsListed": connected.end}


def _sockets(server: Any, *, at_most: int) -> Any:  # noqa: ANN401  as above
    request = channelz_pb2.GetServerSocketsRequest(server_id=server.ref.server_id, max_results=at_most)
    return _query(ChannelzServicer.GetServerSockets, request)


def _socket(socket_id: int) -> dict[str, Any] | None:
    try:
        response = _query(ChannelzServicer.GetSocket, channelz_pb2.GetSocketRequest(socket_id=socket_id))
    except _SocketGoneError:
        return None
    return MessageToDict(response.socket)


def _query(method: Any, request: Message) -> Any:  # noqa: ANN401  as above
    return method(request, _Context())
