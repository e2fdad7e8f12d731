"""The files of names and seasons in the home folder: made once, used until they change; a look-up loads little."""

import asyncio
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from ondeck_core.players.index import PlayerIndex
from ondeck_core.players.played_seasons import pack_played_seasons
from ondeck_ingest.register.load import group_by_kind, load_registers, read_tables
from ondeck_store.connection import connect_migrated
from ondeck_store.database import Database, DatabaseFailedError
from ondeck_store.pitches.upsert import upsert_pitches
from ondeck_store.players.index_files import FILE, SEASONS_FILE, PlayersBlock, current_names, current_seasons, map_block
from ondeck_store.players.index_loader import read_index, read_seasons, seasons_fingerprint
from ondeck_store.settings import StoreSettings
from tests.factories.statcast_rows import sample_rows
from tests.integration.test_players import VETERAN, chadwick

OTHER = "n801,801,,,,Twin,Tom,Tom Adam,,1990,1,1,2015,2026,2018,2026"
LIBRARIES = (
    *("sqlalchemy", "alembic", "polars", "pandas", "pybaseball"),  # other commands of the database
    *("numpy", "nicknames", "rapidfuzz", "ftfy"),  # other look-ups, and making the file of the names
    *("grpc", "onnxruntime", "sklearn", "scipy"),  # other programs
    "rich",  # tables
)  # which take long to import
RUN = f"""
import sys
from ondeck_cli.main import ondeck
try:
    ondeck.main(sys.argv[1:], standalone_mode=False)
finally:
    print(sorted(set({LIBRARIES}) & set(sys.modules)))
"""


async def import_people(database: Database, *people: str) -> None:
    async with database.engine.begin() as connection:
        await load_registers(connection, group_by_kind(read_tables(chadwick(*people).encode(), "x")))


async def names_in(store_home: Path, folder: Path) -> PlayersBlock:
    async with connect_migrated(StoreSettings(home=store_home)) as connection:
        return await current_names(connection, folder)


def ids_in(names: PlayersBlock) -> set[int]:
    index = PlayerIndex(names.block, memoryview(pack_played_seasons(names.block, {})))
    return {player_id for player_id in (701, 702, 801) if index.player(player_id) is not None}


async def test_the_file_is_used_until_the_names_change(database: Database, store_home: Path, tmp_path: Path) -> None:
    await import_people(database, VETERAN)
    first = await names_in(store_home, tmp_path)
    made = (tmp_path / FILE).stat()
    again = await names_in(store_home, tmp_path)
    assert (tmp_path / FILE).stat() == made
    assert (again.fingerprint, bytes(again.block)) == (first.fingerprint, bytes(first.block))
    await import_people(database, VETERAN, OTHER)
    later = await names_in(store_home, tmp_path)
    assert ids_in(later) - ids_in(first) == {801}
    assert map_block(tmp_path / FILE) == later
    assert [each.name for each in tmp_path.iterdir()] == [FILE]


async def test_a_day_of_known_players_changes_their_seasons_and_no_name(
    database: Database, store_home: Path, tmp_path: Path
) -> None:
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, sample_rows(date(2022, 6, 1), days=1), simulated=False)
    names = await names_in(store_home, tmp_path)
    async with connect_migrated(StoreSettings(home=store_home)) as connection:
        before = await seasons_fingerprint(connection)
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, sample_rows(date(2023, 6, 1), days=1), simulated=False)
    assert await names_in(store_home, tmp_path) == names
    async with connect_migrated(StoreSettings(home=store_home)) as connection:
        assert await seasons_fingerprint(connection) != before
        index = PlayerIndex(names.block, memoryview(await read_seasons(connection, names.block)))
        whole = await read_index(connection)
    pitcher = int(sample_rows(date(2022, 6, 1), days=1)["pitcher"][0])
    assert {each.season for each in index[pitcher].played} == {2022, 2023}
    assert index[pitcher] == whole[pitcher]


async def test_the_file_of_the_seasons_is_used_until_a_player_has_another(
    database: Database, store_home: Path, tmp_path: Path
) -> None:
    async def stored_seasons() -> PlayersBlock:
        async with connect_migrated(StoreSettings(home=store_home)) as connection:
            names = await current_names(connection, tmp_path)
            seasons = await current_seasons(connection, tmp_path, names)
            assert bytes(seasons.block) == await read_seasons(connection, names.block)
        return seasons

    async def store_day(day: date) -> None:
        async with database.engine.begin() as connection:
            await upsert_pitches(connection, sample_rows(day, days=1), simulated=False)

    await store_day(date(2022, 6, 1))
    first, made = await stored_seasons(), (tmp_path / SEASONS_FILE).stat()
    await store_day(date(2022, 6, 1))
    assert await stored_seasons() == first
    assert (tmp_path / SEASONS_FILE).stat() == made
    await store_day(date(2023, 6, 1))
    later = await stored_seasons()
    assert later.fingerprint != first.fingerprint
    assert map_block(tmp_path / SEASONS_FILE) == later
    await import_people(database, OTHER)
    assert (await stored_seasons()).fingerprint != later.fingerprint


@pytest.mark.parametrize("content", [b"", b"\x00" * 100, b"\xff" * 100, b"half"])
async def test_a_file_that_is_not_whole_is_made_again(
    database: Database, store_home: Path, tmp_path: Path, content: bytes
) -> None:
    await import_people(database, VETERAN)
    (tmp_path / FILE).write_bytes(content)
    assert map_block(tmp_path / FILE) is None
    assert 702 in ids_in(await names_in(store_home, tmp_path))
    assert map_block(tmp_path / FILE) is not None


async def test_names_are_read_without_a_folder_for_the_file(
    database: Database, store_home: Path, tmp_path: Path
) -> None:
    await import_people(database, VETERAN)
    assert 702 in ids_in(await names_in(store_home, tmp_path / "absent"))


async def test_resolve_loads_no_library_that_it_does_not_need(database: Database, store_home: Path) -> None:
    await import_people(database, VETERAN)
    command = [sys.executable, "-c", RUN, "players", "resolve", "702", "--system", "mlbam", "--home"]
    for _ in range(2):  # with and without the file of the names
        done = await asyncio.to_thread(
            subprocess.run, [*command, str(store_home)], capture_output=True, text=True, timeout=60, check=False
        )
        found, loaded = done.stdout.splitlines()
        assert found.startswith("found by mlbam id: 702")
    assert loaded == "[]"


def test_the_version_and_the_help_load_no_library_that_takes_long() -> None:
    for argument in ("--version", "--help"):
        done = subprocess.run(
            [sys.executable, "-c", RUN, argument], capture_output=True, text=True, timeout=60, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"


async def test_resolve_creates_the_database_of_a_new_home(tmp_path: Path) -> None:
    async with connect_migrated(StoreSettings(home=tmp_path)) as connection:
        assert len(await read_index(connection)) == 0


async def test_a_failed_statement_has_one_sentence(database: Database, store_home: Path) -> None:
    assert database.described
    with pytest.raises(DatabaseFailedError, match=r"^the database failed: .*no_such_table"):
        async with connect_migrated(StoreSettings(home=store_home)) as connection:
            await connection.execute("SELECT * FROM no_such_table")
