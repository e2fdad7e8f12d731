"""Served predictions are recorded as they were answered; a database that is slow or gone costs no call anything."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import asyncpg
import grpc
import numpy as np
import pytest
from sqlalchemy import text

from ondeck_client import Client, Pitch, PitchColumns, PitchKey, PitchKeyColumns, violations_of
from ondeck_core.instances import PITCH
from ondeck_server.inference.served_predictions import MAX_WAITING_ROWS
from ondeck_store.database import Database, asyncpg_connection
from ondeck_store.served_predictions.writes import (
    ServedPrediction,
    update_or_read_partitions,
    update_partitions,
    write_served,
)
from tests.fixtures.server import RunningServer, serving

PITCHES = [Pitch(plate_x=number / 10, plate_z=2.5, sz_top=3.4, sz_bot=1.6) for number in range(6)]
COUNT = text("SELECT count(*) FROM served_predictions")
WAIT_SECONDS = 30


def outcomes_counted(server: RunningServer) -> dict[str, int]:
    """Return the rows of the sample by what became of them."""
    with urlopen(f"{server.admin}/metrics") as page:  # noqa: S310  http, of this test's server
        lines = page.read().decode().splitlines()
    prefix = "ondeck_served_predictions_total{outcome="
    found = (line.removeprefix(prefix).split("} ") for line in lines if line.startswith(prefix))
    return {outcome.strip('"'): int(float(value)) for outcome, value in found}


async def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < end
        await asyncio.sleep(0.1)


async def stored(database: Database) -> list[Any]:
    async with database.engine.connect() as connection:
        query = "SELECT * FROM served_predictions ORDER BY game_pk, at_bat_number, pitch_number, served_at"
        return list((await connection.execute(text(query))).all())


async def test_predictions_of_all_calls_are_stored_as_they_were_answered(
    database: Database, store_home: Path, small_repository: Path
) -> None:
    with (
        serving(small_repository, "--home", str(store_home), served_sample_rate=1) as server,
        Client(server.target) as client,
    ):
        single = client.predict(
            "called_strike", PITCHES[0], pitch_key=PitchKey(game_pk=7, at_bat_number=1, pitch_number=1)
        )
        items = [
            (str(number), PITCHES[number], PitchKey(game_pk=7, at_bat_number=2, pitch_number=number))
            for number in (1, 2)
        ]
        answers = list(client.stream("called_strike", items))
        columns = PitchColumns(plate_x=[each.plate_x for each in PITCHES[3:]], plate_z=[2.5] * 3)
        keys = PitchKeyColumns(game_pk=[7, 7, 0], at_bat_number=[3, 3, 0], pitch_number=[1, 2, 0])
        batch = client.batch_predict("called_strike", columns, pitch_keys=keys)
        await wait_until(lambda: outcomes_counted(server).get("written") == 6)
    rows = await stored(database)
    assert [row[-3:] for row in rows] == [(7, 1, 1), (7, 2, 1), (7, 2, 2), (7, 3, 1), (7, 3, 2), (None, None, None)]
    served = [single, *(each.prediction for each in answers)]
    expected = [[each.probability for each in one.outcomes] for one in served]
    expected += np.array(batch.probabilities).reshape(3, 2).tolist()
    assert [np.frombuffer(row.probabilities, "<f4").tolist() for row in rows] == expected
    spreads = [one.ensemble_spread for one in served] + list(batch.ensemble_spread)
    assert [row.ensemble_spread for row in rows] == pytest.approx(spreads)
    assert [list(row.prediction_sets) for row in rows[3:]] == [
        [column.outcomes[number] for column in batch.prediction_sets] for number in range(3)
    ]
    instances = np.array([np.frombuffer(row.instance, "<f4") for row in rows])
    assert instances[:, PITCH.index("plate_x")].tolist() == pytest.approx([number / 10 for number in range(6)])
    assert np.isnan(instances[3:, PITCH.index("sz_top")]).all()
    assert {(row.model, row.version, row.digest.hex()) for row in rows} == {
        ("called_strike", batch.answered_by.version, batch.answered_by.digest)
    }
    assert len({row.correlation_id for row in rows}) == 3  # one for each call


async def test_partitions_are_created_ahead_and_dropped_after_the_retention(database: Database) -> None:
    async with database.engine.connect() as opened:
        await opened.execution_options(isolation_level="AUTOCOMMIT")
        connection = await asyncpg_connection(opened)
        today = date(2021, 3, 1)
        first = await update_partitions(connection, today, retention_days=3)
        assert {date(2021, 2, 28), today, date(2021, 3, 2), date(2021, 3, 3)} <= first
        at_once = await asyncio.gather(*(update_on_own_connection(database, date(2021, 3, 3)) for _ in range(4)))
        assert all({date(2021, 2, 28), date(2021, 3, 5)} <= days for days in at_once)
        later = await update_partitions(connection, date(2021, 3, 6), retention_days=3)
        assert not later & {date(2021, 2, 28), today, date(2021, 3, 2)}
        assert {date(2021, 3, 3), date(2021, 3, 8)} <= later
        row = ServedPrediction(
            served_at=datetime(2021, 3, 8, 23, 59, tzinfo=UTC),
            model="whiff",
            version=1,
            digest=b"",
            correlation_id="c",
            instance=b"",
            probabilities=b"",
            ensemble_spread=0.0,
            prediction_sets=[],
            game_pk=None,
            at_bat_number=None,
            pitch_number=None,
        )
        await write_served(connection, [row])
        assert len(await connection.fetch("SELECT FROM served_predictions_20210308")) == 1
        with pytest.raises(asyncpg.PostgresError, match="no partition"):
            await write_served(connection, [replace(row, served_at=datetime(2021, 3, 1, tzinfo=UTC))])


async def test_partitions_that_cannot_be_updated_are_written_as_long_as_today_has_one(database: Database) -> None:
    today = date(2019, 3, 1)  # of no other test
    async with database.engine.connect() as opened:
        await opened.execution_options(isolation_level="AUTOCOMMIT")
        connection = await asyncpg_connection(opened)
        await connection.execute("CREATE TABLE other_predictions PARTITION OF served_predictions DEFAULT")
        try:
            present = await update_partitions(connection, today, retention_days=3)
            tomorrow = today + timedelta(days=1)
            async with database.engine.begin() as reader:
                await reader.execute(COUNT)  # as a backup does, whose lock of the table lasts
                found, failed = await update_or_read_partitions(connection, tomorrow, retention_days=3)
                assert (found, failed) == (present, "canceling statement due to lock timeout")
                with pytest.raises(asyncpg.LockNotAvailableError):
                    await update_or_read_partitions(connection, today + timedelta(days=9), retention_days=3)
            found, failed = await update_or_read_partitions(connection, tomorrow, retention_days=3)
            assert (found - present, failed) == ({date(2019, 3, 4)}, "")
        finally:
            await connection.execute("DROP TABLE other_predictions")


async def update_on_own_connection(database: Database, today: date) -> set[date]:
    async with database.engine.connect() as opened:
        await opened.execution_options(isolation_level="AUTOCOMMIT")
        return await update_partitions(await asyncpg_connection(opened), today, retention_days=3)


async def test_a_stalled_database_delays_no_call_and_dropped_rows_are_counted(
    database: Database, store_home: Path, small_repository: Path
) -> None:
    rows = MAX_WAITING_ROWS // 4
    columns = PitchColumns(plate_x=[0.1] * rows, plate_z=[2.5] * rows)
    with (
        serving(small_repository, "--home", str(store_home), served_sample_rate=1) as server,
        Client(server.target) as client,
    ):
        client.predict("whiff", PITCHES[0])
        await wait_until(lambda: outcomes_counted(server).get("written") == 1)
        async with database.engine.begin() as connection:
            await connection.execute(text("LOCK TABLE served_predictions IN ACCESS EXCLUSIVE MODE"))
            for _ in range(8):
                assert len(client.batch_predict("whiff", columns).ensemble_spread) == rows
            for _ in range(100):
                assert client.predict("whiff", PITCHES[0], timeout=2).confidence >= 0
            await wait_until(lambda: outcomes_counted(server)["dropped"] >= 3 * rows)
        await wait_until(lambda: sum(outcomes_counted(server).values()) == 8 * rows + 101)
        assert outcomes_counted(server)["written"] > 1
    async with database.engine.connect() as connection:
        assert (await connection.execute(COUNT)).scalar_one() < 8 * rows


async def test_a_server_whose_database_is_gone_serves(small_repository: Path, tmp_path: Path, free_port: int) -> None:
    url, log = f"postgresql://absent@127.0.0.1:{free_port}/none", tmp_path / "log"
    with (
        serving(small_repository, log=log, database_url=url, served_sample_rate=1) as server,
        Client(server.target) as client,
    ):
        for each in PITCHES:
            client.predict("called_strike", each, timeout=5)
        await wait_until(lambda: "served_predictions_failed" in log.read_text())
        assert client.predict("called_strike", PITCHES[0]).confidence >= 0
    assert server.process.returncode == 0


async def test_without_a_database_nothing_is_sampled(small_repository: Path) -> None:
    with serving(small_repository, served_sample_rate=1) as server, Client(server.target) as client:
        client.predict("called_strike", PITCHES[0])
        assert outcomes_counted(server) == {}


def test_an_invalid_key_is_refused_with_its_field(running_server: RunningServer) -> None:
    columns = PitchColumns(plate_x=[0.1, 0.2], plate_z=[2.5, 2.5])
    uneven = PitchKeyColumns(game_pk=[1], at_bat_number=[1, 1], pitch_number=[1, 2])
    partial = PitchKeyColumns(game_pk=[0, 5], at_bat_number=[0, 1], pitch_number=[0, 2**31])
    with Client(running_server.target) as client:
        for call, fields in (
            (
                lambda: client.predict("whiff", PITCHES[0], pitch_key=PitchKey(game_pk=1)),
                ["at_bat_number", "pitch_number"],
            ),
            (lambda: client.batch_predict("whiff", columns, pitch_keys=uneven), ["game_pk"]),
            (lambda: client.batch_predict("whiff", columns, pitch_keys=partial), ["pitch_number[1]"]),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            found = [each.field.split(".")[1] for each in violations_of(refused.value)]
            assert found == fields
        (answer,) = client.stream(
            "whiff", [("a", PITCHES[0], PitchKey(game_pk=2**31, at_bat_number=1, pitch_number=1))]
        )
        assert [each.field for each in answer.error.violations] == ["pitch_key.game_pk"]
