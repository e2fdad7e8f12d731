"""Players in the database: register merges, overrides and resolution."""

import io
import os
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.errors import NotFoundError, SourceRefusedError
from ondeck_core.players.models import Role, TeamSeason
from ondeck_core.players.register_formats import read_register
from ondeck_ingest.register.load import group_by_kind, load_registers, read_files, read_tables
from ondeck_store.database import asyncpg_connection
from ondeck_store.pitches.upsert import upsert_pitches
from ondeck_store.players.index_loader import read_index
from ondeck_store.players.overrides import Override, list_overrides, record_override
from ondeck_store.players.register_gaps import list_conflicts, list_unresolved, postpone_retries
from ondeck_store.players.register_merge import RegisterCounts
from tests.factories.statcast_rows import sample_rows

HEADER = (
    "key_person,key_mlbam,key_retro,key_bbref,key_fangraphs,name_last,name_first,name_given,name_suffix,"
    "birth_year,birth_month,birth_day,pro_played_first,pro_played_last,mlb_played_first,mlb_played_last"
)
ROOKIE = "aaaa,701,,,,Núñez,Ángel,Ángel Luis,,2001,2,3,2020,2024,,"
ROOKIE_LATER = "aaaa,701.0,nunea001,nunezan01,24001,Núñez,Ángel,Ángel Luis,,2001,2,3,2020,2025,2025,2025"
VETERAN = "bbbb,702,boyd001,boydma01,14107,Boyd,Matt,Matthew Robert,,1991,2,2,2013,2024,2015,2024"
NO_PLAYER = "cccc,-1,x,y,-1,Ghost,A,A,,,,,,,,"
NAMES = "key_person,name_last,name_first,altname_last,altname_first\nbbbb,Boyd,Matt,Boyd,Matthew R.\n"
FANTASY = (
    "IDPLAYER,PLAYERNAME,BIRTHDATE,FIRSTNAME,LASTNAME,IDFANGRAPHS,MLBID,CBSID,BREFID,CBSNAME,BATS,THROWS\n"
    "boydma01,Matthew Boyd,2/2/1991,Matthew,Boyd,99999,702,111,boydma01,Angel Nunez,L,L\n"
    "nunezan01,Angel Nunez,2/4/2001,Angel,Nunez,24001,701,111,,Ángel Núñez,R,R\n"
)


def chadwick(*rows: str) -> str:
    return "\n".join((HEADER, *rows)) + "\n"


def archive_of(people: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("register-master/data/people-0.csv", people)
        archive.writestr("register-master/data/names.csv", NAMES)
    return buffer.getvalue()


def tables(*texts: str) -> dict[str, pl.DataFrame]:
    return group_by_kind(table for each in texts for table in read_tables(each.encode(), "register"))


async def ids(connection: AsyncConnection) -> set[tuple[str, str, int, str]]:
    found = await connection.execute(text("SELECT system, id, player_id, source FROM player_ids"))
    return {(row.system, row.id, row.player_id, row.source) for row in found}


async def test_ids_that_arrive_later_are_filled_in(connection: AsyncConnection) -> None:
    await load_registers(connection, tables(chadwick(ROOKIE, VETERAN, NO_PLAYER)))
    assert ("bbref", "nunezan01", 701, "chadwick") not in await ids(connection)
    taken = await load_registers(connection, tables(chadwick(ROOKIE_LATER, VETERAN, NO_PLAYER)))
    assert taken == {"chadwick": RegisterCounts(people=2, new=0, changed=1, ids=3, aliases=0, conflicts=0)}
    assert ("bbref", "nunezan01", 701, "chadwick") in await ids(connection)
    assert (await read_index(await asyncpg_connection(connection)))[701].major_league == (2025, 2025)


async def test_the_same_register_twice_changes_nothing(connection: AsyncConnection) -> None:
    everything = tables(chadwick(ROOKIE_LATER, VETERAN), NAMES, FANTASY)
    await load_registers(connection, everything)
    again = await load_registers(connection, everything)
    assert {(each.new, each.changed, each.ids, each.aliases, each.conflicts) for each in again.values()} == {
        (0, 0, 0, 0, 0)
    }


async def test_a_conflicting_id_keeps_the_stored_one_and_is_reported(connection: AsyncConnection) -> None:
    await load_registers(connection, tables(chadwick(ROOKIE_LATER, VETERAN), FANTASY))
    found = {
        (each.player_id, each.field, each.stored_value, each.source_value) for each in await list_conflicts(connection)
    }
    assert found == {
        (701, "born", "2001-2-3", "2001-2-4"),
        (702, "cbs", "111 is of 701", "111"),
        (702, "fangraphs", "14107", "99999"),
        (702, "name", "Matt Boyd", "Angel Nunez"),
    }
    index = await read_index(await asyncpg_connection(connection))
    assert index[701].born == (2001, 2, 3)
    assert ("fangraphs", "99999", 702, "smart fantasy baseball") not in await ids(connection)
    assert "Matthew Boyd" in index[702].spellings
    assert "Angel Nunez" not in index[702].spellings


async def test_a_register_in_any_number_of_shards_is_merged(connection: AsyncConnection) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("register-master/README.md", "read me")
        archive.writestr("register-master/data/people-0.csv", chadwick(ROOKIE))
        archive.writestr("register-master/data/people-f.csv", chadwick(VETERAN))
        archive.writestr("register-master/data/names.csv", NAMES)
        archive.writestr("register-master/data/leagues.csv", "league,name\n1,x\n")
    taken = await load_registers(connection, group_by_kind(read_tables(buffer.getvalue(), "master.zip")))
    assert {kind: each.people for kind, each in taken.items()} == {"chadwick": 2, "chadwick names": 0}
    assert "Matthew R. Boyd" in (await read_index(await asyncpg_connection(connection)))[702].spellings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n1,2\n", "not a known player register"),
        (b"PK\x03\x04broken", "broken or truncated archive"),
        (b"<html>Sign in</html>", "HTML page"),
    ],
)
def test_a_file_that_is_no_register_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(SourceRefusedError, match=message):
        group_by_kind(read_tables(content, "register"))


def test_missing_columns_count_as_absent_values() -> None:
    cells = pl.DataFrame({"key_mlbam": ["1"], "name_last": ["Boyd"], "name_first": ["Matt"]})
    register = read_register(cells)
    assert register.people.row(0, named=True)["name_last"] == "Boyd"
    assert register.ids.height == 0


async def test_a_player_missing_from_the_register_is_kept_and_filled_in_later(connection: AsyncConnection) -> None:
    rows = sample_rows(date(2022, 6, 1), days=1)
    pitcher = int(rows["pitcher"][0])
    await upsert_pitches(connection, rows, simulated=False)
    now = datetime.now(UTC)
    assert pitcher in {each.player_id for each in await list_unresolved(connection, due_by=now)}
    await postpone_retries(connection, now + timedelta(days=1))
    assert await list_unresolved(connection, due_by=now) == []
    await load_registers(connection, tables(chadwick(f"dddd,{pitcher},,,,Late,Larry,Larry,,2000,1,1,2021,2022,,")))
    assert pitcher not in {each.player_id for each in await list_unresolved(connection)}
    person = (await read_index(await asyncpg_connection(connection)))[pitcher]
    assert person.name == "Larry Late"
    assert TeamSeason(season=2022, team=str(rows["home_team"][0]), role=Role.PITCHER) in person.played


async def test_simulated_players_are_not_resolved(connection: AsyncConnection) -> None:
    await connection.execute(
        text("INSERT INTO players (player_id, name, simulated) VALUES (-5, 'Simulated, Player', true)")
    )
    assert await list_unresolved(connection) == []
    assert len(await read_index(await asyncpg_connection(connection))) == 0


async def test_an_override_holds_until_revoked_and_both_are_kept(connection: AsyncConnection) -> None:
    await load_registers(connection, tables(chadwick(ROOKIE, VETERAN)))
    decision = Override(created_by="me", reason="as on the club site", player_id=702, system="bbref", value="boydma99")
    await record_override(connection, decision)
    found = (await read_index(await asyncpg_connection(connection))).by_id("bbref", "boydma99")
    assert found is not None
    assert found.player_id == 702
    await record_override(connection, Override(**{**vars(decision), "is_active": False, "reason": "it was wrong"}))
    assert (await read_index(await asyncpg_connection(connection))).by_id("bbref", "boydma99") is None
    assert [(each.is_active, each.reason) for each in await list_overrides(connection)] == [
        (False, "it was wrong"),
        (True, "as on the club site"),
    ]
    with pytest.raises(NotFoundError):
        await record_override(connection, Override(**{**vars(decision), "player_id": 1}))


def players(home: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", "players", *words, "--home", str(home)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment}
    )


@pytest.mark.usefixtures("database")
def test_the_players_commands_import_search_and_override(store_home: Path, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text(chadwick(ROOKIE_LATER, VETERAN))
    (tmp_path / "map.csv").write_text(FANTASY)
    imported = players(store_home, "import", str(tmp_path))
    assert "chadwick: 2 people, 2 new, 0 changed" in imported.stdout, imported.stderr
    found = players(store_home, "resolve", "Nunez, Angel", "--season", "2024")
    assert (found.returncode, found.stdout.split(";")[0]) == (0, "found by spelling, season: 701 Ángel Núñez")
    assert players(store_home, "resolve", "boydma01", "--system", "bbref").stdout.startswith("found by bbref id: 702")
    missing = players(store_home, "resolve", "Babe Ruth")
    assert (missing.returncode, missing.stdout[:8]) == (3, "missing;")
    decided = players(store_home, "override", "702", "Old Matt", "--reason", "nickname in our feeds")
    assert decided.returncode == 0, decided.stderr
    assert players(store_home, "resolve", "old matt").stdout.startswith("found by override: 702")
    output = players(store_home, "unresolved").stdout
    assert "conflicts: 4" in output
    assert "nickname" in output


@pytest.mark.usefixtures("database")
def test_a_resolution_states_its_rule_and_its_evidence(store_home: Path, tmp_path: Path) -> None:
    people = (
        "p1,950001,,,,Sample,JR,Ian,,2003,6,26,2022,2026,2026,2026",
        "p2,950002,,,,Example,J. R.,James Roy,,1950,3,7,1969,1983,1971,1980",
        "p3,950003,,,,Twin,Tom,Tom A.,,1995,1,1,2015,2026,2018,2026",
        "p4,950004,,,,Twin,Tom,Tom B.,,1998,1,1,2016,2026,,",
        "p5,950005,,,,Pair,Tom,Tom C.,,1995,1,1,2015,2026,2018,2025",
        "p6,950006,,,,Pair,Tom,Tom D.,,1990,1,1,2010,2026,2012,2024",
    )
    (tmp_path / "people.csv").write_text(chadwick(*people))
    players(store_home, "import", str(tmp_path))
    for name, player in (("Sample, JR", 950001), ("Sample, J.R.", 950001), ("Example, J.R.", 950002)):
        assert players(store_home, "resolve", name).stdout.startswith(f"found by spelling: {player} "), name
    found = players(store_home, "resolve", "Tom Twin", "--season", "2026")
    assert found.stdout.startswith("found by spelling, season, major leagues: 950003 ")
    assert players(store_home, "resolve", "Tom Twin", "--season", "2026", "--league", "any").returncode == 2
    ambiguous = players(store_home, "resolve", "Tom Pair", "--season", "2024")
    assert ambiguous.stdout.splitlines() == [
        "ambiguous, 2 fit by spelling, season, the most probable first:",
        "  950005 Tom Pair; born 1995-01-01; major leagues 2018 to 2025; professional 2015 to 2026; no stored pitches",
        "  950006 Tom Pair; born 1990-01-01; major leagues 2012 to 2024; professional 2010 to 2026; no stored pitches",
    ]
    missing = players(store_home, "resolve", "Tom Pair", "--season", "1999")
    assert missing.stdout.startswith("missing; no player of the name fits: season; next lookup in the registers ")


@pytest.fixture
def register_over_http() -> Iterator[str]:
    body = archive_of(chadwick(ROOKIE_LATER, VETERAN))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/master.zip"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.usefixtures("database")
def test_the_register_is_fetched_by_pybaseball_and_archived(store_home: Path, register_over_http: str) -> None:
    done = players(store_home, "refresh", ONDECK_CHADWICK_URL=register_over_http)
    assert "chadwick: 2 people, 2 new" in done.stdout, done.stderr
    assert "chadwick names" in done.stdout
    assert len(list((store_home / "raw" / "chadwick").rglob("*.zst"))) == 1


@pytest.mark.usefixtures("database")
def test_an_unreachable_register_is_reported(store_home: Path) -> None:
    done = players(store_home, "refresh", ONDECK_CHADWICK_URL="http://127.0.0.1:9/master.zip")
    assert (done.returncode, done.stderr) == (1, "error: http://127.0.0.1:9 cannot be reached\n")


def test_files_in_a_folder_are_found_by_suffix(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert [name for name, _ in read_files([tmp_path])] == ["a.csv.gz", "b.csv"]
