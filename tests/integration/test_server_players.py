"""ondeck.v1.PlayerService over the wire."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from grpc_health.v1.health_pb2 import HealthCheckResponse
from grpc_status import rpc_status

from ondeck.v1.player_service_pb2 import (
    GetPlayerRequest,
    League,
    PlayerId,
    PlayerName,
    PlayerQuery,
    ResolvePlayersRequest,
    Role,
    SearchPlayersRequest,
)
from ondeck.v1.player_service_pb2_grpc import PlayerServiceStub
from ondeck_client import AsyncClient, Client
from ondeck_ingest.register.load import group_by_kind, load_registers, read_tables
from ondeck_store.database import Database
from tests.fixtures.server import RunningServer, serving
from tests.integration.test_players import NAMES, ROOKIE_LATER, VETERAN, chadwick
from tests.integration.test_server_start_and_shutdown import check, watch

NAMESAKES = [
    f"n{number},{number},,,,Twin,Tom,Tom {middle},,1990,{number % 12 + 1},1,2015,2026,2018,2026"
    for number, middle in ((801, "Adam"), (802, "Bert"))
]
MIXED = [
    "x1,811,,,,Mixed,Tom,Tom A.,,1990,1,1,2015,2026,2018,2026",
    "x2,812,,,,Mixed,Tom,Tom B.,,1995,1,1,2015,2026,,",
]
MANY = [f"m{number},{number},,,,Crowd,Player{number},,,,,,2020,2026,," for number in range(900, 950)]
SERVICE = "ondeck.v1.PlayerService"


@pytest.fixture
async def stub(database: Database, store_home: Path, small_repository: Path) -> Any:
    register = chadwick(ROOKIE_LATER, VETERAN, *NAMESAKES, *MIXED, *MANY)
    async with database.engine.begin() as connection:
        await load_registers(
            connection, group_by_kind(table for each in (register, NAMES) for table in read_tables(each.encode(), "x"))
        )
    with (
        serving(small_repository, "--home", str(store_home)) as server,
        grpc.insecure_channel(server.target) as channel,
    ):
        statuses = watch(channel, SERVICE)
        while next(statuses).status != HealthCheckResponse.SERVING:
            pass
        yield PlayerServiceStub(channel)
        with Client(server.target) as client:
            resolve_with_client(client)
        async with AsyncClient(server.target) as client:
            assert [each.found.player.player_id for each in await client.resolve(["Boyd, Matthew"])] == [702]
            assert (await client.player(702)).player.name == "Matt Boyd"


def resolve_with_client(client: Client) -> None:
    twin = PlayerName(name="Tom Twin", season=2020)
    answers = client.resolve(("Matthew Boyd", PlayerId(system="bbref", id="nunezan01"), twin))
    assert [answer.WhichOneof("outcome") for answer in answers] == ["found", "found", "ambiguous"]
    assert client.player(702).player.name == "Matt Boyd"


def name_query(name: str, **more: Any) -> PlayerQuery:
    return PlayerQuery(name=PlayerName(name=name, **more))


async def test_players_are_resolved_described_and_searched(stub: Any) -> None:
    queries = [
        PlayerQuery(id=PlayerId(system="bbref", id="nunezan01")),
        name_query("Boyd, Matthew"),
        name_query("Tom Twin"),
        name_query("Tom Twin", born="1990-10-01"),
        name_query("Tom A. Twin", season=2020, role=Role.ROLE_PITCHER),
        name_query("Babe Ruth"),
    ]
    answers = stub.ResolvePlayers(ResolvePlayersRequest(queries=queries)).resolutions
    outcomes = [answer.WhichOneof("outcome") for answer in answers]
    assert outcomes == ["found", "found", "ambiguous", "found", "found", "missing"]
    assert [answers[at].found.player.player_id for at in (0, 1, 3, 4)] == [701, 702, 801, 801]
    assert [answers[at].found.rule for at in (0, 1, 3)] == ["bbref id", "first name", "spelling"]
    ambiguous = answers[2].ambiguous
    assert [each.player_id for each in ambiguous.candidates] == [801, 802]
    assert ambiguous.rule == "spelling"
    assert list(ambiguous.evidence) == ["major leagues 2018 to 2026; professional 2015 to 2026; no stored pitches"] * 2
    assert answers[5].missing.next_try.endswith("+00:00")
    assert answers[5].missing.rule == "no player has the name"

    leagues = [
        name_query("Tom Mixed", season=2024, league=league) for league in (League.LEAGUE_MAJOR, League.LEAGUE_ANY)
    ]
    outcomes = stub.ResolvePlayers(ResolvePlayersRequest(queries=leagues)).resolutions
    assert [answer.WhichOneof("outcome") for answer in outcomes] == ["found", "ambiguous"]
    assert outcomes[0].found.rule == "spelling, season, major leagues"

    response = stub.GetPlayer(GetPlayerRequest(player_id=702))
    assert (response.player.name, response.player.birth_year) == ("Matt Boyd", 1991)
    assert (response.player.major_league.first, response.player.major_league.last) == (2015, 2024)
    assert {(each.system, each.id) for each in response.ids} >= {("bbref", "boydma01"), ("fangraphs", "14107")}
    assert list(response.player.spellings) == ["Matthew R. Boyd"]

    assert stub.SearchPlayers(SearchPlayersRequest(text="angel nunes")).players[0].player_id == 701
    check_refusals(stub)
    page_through(stub)


def page_through(stub: Any) -> None:
    seen: list[int] = []
    token = ""
    for _ in range(20):
        page = stub.SearchPlayers(SearchPlayersRequest(text="Crowd", page_size=7, page_token=token))
        seen += [each.player_id for each in page.players]
        token = page.next_page_token
        if not token:
            break
    assert len(seen) == len(set(seen))
    assert set(range(900, 950)) <= set(seen)


def check_refusals(stub: Any) -> None:
    cases: list[tuple[Callable[[], object], str, str, list[str]]] = [
        (lambda: stub.GetPlayer(GetPlayerRequest(player_id=5)), "NOT_FOUND", "PLAYER_NOT_FOUND", []),
        (lambda: stub.SearchPlayers(SearchPlayersRequest()), "INVALID_ARGUMENT", "INVALID_FIELD", ["text"]),
        (
            lambda: stub.SearchPlayers(SearchPlayersRequest(text="x", page_size=101, page_token="-1")),  # noqa: S106  a page token, no secret
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            ["page_size", "page_token"],
        ),
        (
            lambda: stub.SearchPlayers(SearchPlayersRequest(text="x", page_token="9" * 5000)),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            ["page_token"],
        ),
        (
            lambda: stub.ResolvePlayers(
                ResolvePlayersRequest(
                    queries=[
                        PlayerQuery(),
                        name_query("x", born="01/02/1990", season=3),
                        PlayerQuery(id=PlayerId(system="bbref")),
                        name_query(""),
                    ]
                )
            ),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            [
                "queries[0]",
                "queries[1].name.season",
                "queries[1].name.born",
                "queries[2].id.id",
                "queries[3].name.name",
            ],
        ),
        (
            lambda: stub.ResolvePlayers(ResolvePlayersRequest(queries=[name_query("x")] * 10_001)),
            "INVALID_ARGUMENT",
            "INVALID_FIELD",
            ["queries"],
        ),
    ]
    for call, code, reason, fields in cases:
        with pytest.raises(grpc.RpcError) as refused:
            call()
        error: Any = refused.value
        assert error.code().name == code
        status, info, bad = rpc_status.from_call(error), ErrorInfo(), BadRequest()
        assert status is not None
        assert status.details[0].Unpack(info)
        assert info.reason == reason
        if fields:
            assert status.details[1].Unpack(bad)
        assert [each.field for each in bad.field_violations] == fields


@pytest.fixture
def without_players(running_server: RunningServer) -> Iterator[Any]:
    with grpc.insecure_channel(running_server.target) as channel:
        assert check(channel, SERVICE) == HealthCheckResponse.NOT_SERVING
        assert check(channel, "") == HealthCheckResponse.SERVING
        yield PlayerServiceStub(channel)


def test_without_a_database_no_player_is_known_and_the_reason_given(without_players: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        without_players.GetPlayer(GetPlayerRequest(player_id=5))
    error: Any = refused.value
    status, info = rpc_status.from_call(error), ErrorInfo()
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert status is not None
    assert status.details[0].Unpack(info)
    assert info.reason == "PLAYERS_NOT_LOADED"
