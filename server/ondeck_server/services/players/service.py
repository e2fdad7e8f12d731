"""The handlers of `ondeck.v1.PlayerService`."""

import asyncio
import re
from typing import Final

from ondeck.v1.player_service_pb2 import (
    GetPlayerRequest,
    GetPlayerResponse,
    PlayerId,
    ResolvePlayersRequest,
    ResolvePlayersResponse,
    SearchPlayersRequest,
    SearchPlayersResponse,
)
from ondeck_core.errors import InvalidInstanceError, NotFoundError, Violation
from ondeck_core.players.models import MAX_LENGTH
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.rpc.context import CallContext
from ondeck_server.rpc.method import allow_fields
from ondeck_server.services.players import codec

MAX_QUERIES: Final = 10_000
_MAX_FIELDS: Final = 10 * MAX_QUERIES  # a query has at most nine
QUERIES_PER_TURN: Final = 200  # of the event loop; other calls run in between
MAX_PAGE_SIZE: Final = 100
DEFAULT_PAGE_SIZE: Final = 20
_PAGE_TOKEN: Final = re.compile(r"[0-9]{1,9}")  # a number of players to skip


class PlayerService:
    """One method for each rpc."""

    def __init__(self, players: PlayerDirectory) -> None:
        self._players = players

    @allow_fields(_MAX_FIELDS)
    async def resolve_players(self, _: CallContext, request: ResolvePlayersRequest) -> ResolvePlayersResponse:
        """Resolve queries in their order."""
        if len(request.queries) > MAX_QUERIES:
            text = f"must be at most {MAX_QUERIES:,} queries, got {len(request.queries):,}"
            raise InvalidInstanceError([Violation("queries", text)])
        queries = codec.decode_queries(request.queries)
        resolver = self._players.resolver()
        response = ResolvePlayersResponse()
        for at in range(0, len(queries), QUERIES_PER_TURN):
            response.resolutions.extend(codec.resolve(resolver, each) for each in queries[at : at + QUERIES_PER_TURN])
            await asyncio.sleep(0)
        return response

    async def get_player(self, _: CallContext, request: GetPlayerRequest) -> GetPlayerResponse:
        """Return one player with the ids of all systems."""
        index = self._players.snapshot.index
        player = index.player(request.player_id)
        if player is None:
            raise NotFoundError("player", str(request.player_id))
        ids = [PlayerId(system=system, id=id_) for system, id_ in index.ids_of(player.player_id)]
        return GetPlayerResponse(player=codec.player_message(player), ids=ids)

    async def search_players(self, _: CallContext, request: SearchPlayersRequest) -> SearchPlayersResponse:
        """Return one page of the players whose names are similar to a text."""
        size, skip = _page(request)
        found = await asyncio.to_thread(
            self._players.snapshot.search.find_similar, request.text, skip=skip, count=size + 1
        )
        return SearchPlayersResponse(
            players=[codec.player_message(each) for each in found[:size]],
            next_page_token=str(skip + size) if len(found) > size else "",
        )


def _page(request: SearchPlayersRequest) -> tuple[int, int]:
    violations = []
    if not 0 < len(request.text) <= MAX_LENGTH:
        violations.append(Violation("text", f"is required: at most {MAX_LENGTH} characters"))
    if request.page_size > MAX_PAGE_SIZE:
        violations.append(Violation("page_size", f"must be from 1 to {MAX_PAGE_SIZE}, got {request.page_size}"))
    if request.page_token and not _PAGE_TOKEN.fullmatch(request.page_token):
        violations.append(Violation("page_token", "must be the next_page_token of the previous page"))
    if violations:
        raise InvalidInstanceError(violations)
    return request.page_size or DEFAULT_PAGE_SIZE, int(request.page_token or 0)
