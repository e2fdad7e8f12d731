"""The handlers of `ondeck.v1.PlayerService`."""

import asyncio
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
from ondeck_core.players.name_normalization import MAX_LENGTH
from ondeck_server.players.directory import PlayerDirectory
from ondeck_server.rpc.context import CallContext
from ondeck_server.services.players import codec

MOST_QUESTIONS: Final = 10_000
QUESTIONS_A_TURN: Final = 200
LARGEST_PAGE: Final = 100
USUAL_PAGE: Final = 20


class PlayerService:
    """Tells who is meant; one method for each rpc."""

    def __init__(self, players: PlayerDirectory) -> None:
        self._players = players

    async def resolve_players(self, _: CallContext, request: ResolvePlayersRequest) -> ResolvePlayersResponse:
        """Answer questions in their order, some at a time, so that others get their turn in between."""
        if len(request.queries) > MOST_QUESTIONS:
            text = f"must be at most {MOST_QUESTIONS:,} queries, got {len(request.queries):,}"
            raise InvalidInstanceError([Violation("queries", text)])
        asked = codec.questions_of(request.queries)
        resolver = self._players.resolver()
        response = ResolvePlayersResponse()
        for at in range(0, len(asked), QUESTIONS_A_TURN):
            response.resolutions.extend(codec.answer(resolver, each) for each in asked[at : at + QUESTIONS_A_TURN])
            await asyncio.sleep(0)
        return response

    async def get_player(self, _: CallContext, request: GetPlayerRequest) -> GetPlayerResponse:
        """Tell about one player."""
        index = self._players.snapshot.index
        person = index.players.get(request.player_id)
        if person is None:
            raise NotFoundError("player", str(request.player_id))
        ids = [PlayerId(system=system, id=id_) for system, id_ in index.ids_of(person.player_id)]
        return GetPlayerResponse(player=codec.player(person), ids=ids)

    async def search_players(self, _: CallContext, request: SearchPlayersRequest) -> SearchPlayersResponse:
        """List players whose names are like a text, a page at a time."""
        size, skip = _page(request)
        found = await asyncio.to_thread(
            self._players.snapshot.search.find_similar, request.text, skip=skip, count=size + 1
        )
        return SearchPlayersResponse(
            players=[codec.player(each) for each in found[:size]],
            next_page_token=str(skip + size) if len(found) > size else "",
        )


def _page(request: SearchPlayersRequest) -> tuple[int, int]:
    violations = []
    if not 0 < len(request.text) <= MAX_LENGTH:
        violations.append(Violation("text", f"is required: at most {MAX_LENGTH} characters"))
    if request.page_size > LARGEST_PAGE:
        violations.append(Violation("page_size", f"must be from 1 to {LARGEST_PAGE}, got {request.page_size}"))
    if request.page_token and not request.page_token.isdecimal():
        violations.append(Violation("page_token", "must be the next_page_token of the page before"))
    if violations:
        raise InvalidInstanceError(violations)
    return request.page_size or USUAL_PAGE, int(request.page_token or 0)
