"""Alarms of served predictions become metrics of the ingest worker, which alert rules read."""

from datetime import UTC, date, datetime, timedelta

from sqlalchemy import insert

from ondeck_ingest.jobs.metrics import ALARM_DAYS, IngestMetrics
from ondeck_store.database import Database
from ondeck_store.served_predictions.scores import read_scores
from ondeck_store.tables.served_predictions import served_scores
from ondeck_trainer.cli.served import describe_alarms

TODAY = datetime.now(UTC).date()


def score(day: date, version: int, subject: str, *, alarm: bool, pages: bool) -> dict[str, object]:
    return {
        "day": day,
        "model": "whiff",
        "version": version,
        "metric": "log_loss" if pages else "input_drift",
        "subject": subject,
        "rows": 100,
        "games": 10,
        "value": 0.5,
        "statistic": 9.0,
        "level": 5.0,
        "alarm": alarm,
        "pages": pages,
    }


async def exported(database: Database, metrics: IngestMetrics) -> list[str]:
    async with database.engine.connect() as connection:
        await metrics.sample_database(connection, "savant", 2)
    lines = metrics.page.text().decode().splitlines()
    return sorted(line for line in lines if line.startswith("ondeck_served_alarms{"))


async def test_the_alarms_of_the_newest_day_are_exported(database: Database) -> None:
    metrics = IngestMetrics()
    assert await exported(database, metrics) == []
    before = TODAY - timedelta(days=1)
    rows = [
        score(before, 1, "", alarm=True, pages=True),
        score(TODAY, 1, "", alarm=False, pages=True),
        score(TODAY, 1, "plate_x", alarm=True, pages=False),
        score(TODAY, 1, "plate_z", alarm=True, pages=False),
        score(TODAY, 1, "stand", alarm=False, pages=False),
        score(before, 2, "", alarm=True, pages=True),
        score(TODAY - timedelta(days=ALARM_DAYS), 3, "", alarm=True, pages=True),
    ]
    async with database.engine.begin() as connection:
        await connection.execute(insert(served_scores), rows)
    assert await exported(database, metrics) == [
        'ondeck_served_alarms{model="whiff",pages="false",version="1"} 2.0',
        'ondeck_served_alarms{model="whiff",pages="false",version="2"} 0.0',
        'ondeck_served_alarms{model="whiff",pages="true",version="1"} 0.0',
        'ondeck_served_alarms{model="whiff",pages="true",version="2"} 1.0',
    ]
    async with database.engine.begin() as connection:
        await connection.execute(served_scores.delete().where(served_scores.c.version == 1))
    assert all('version="2"' in line for line in await exported(database, metrics))


async def test_an_alarm_lasts_beside_newer_predictions_without_a_pitch(database: Database) -> None:
    unkeyed = score(TODAY, 1, "plate_x", alarm=False, pages=False) | {"metric": "unkeyed_input_drift"}
    rows = [score(TODAY - timedelta(days=1), 1, "", alarm=True, pages=True), unkeyed]
    async with database.engine.begin() as connection:
        await connection.execute(insert(served_scores), rows)
    assert await exported(database, IngestMetrics()) == [
        'ondeck_served_alarms{model="whiff",pages="false",version="1"} 0.0',
        'ondeck_served_alarms{model="whiff",pages="true",version="1"} 1.0',
    ]
    async with database.engine.connect() as connection:
        lines = list(describe_alarms(await read_scores(connection)))
    assert [line.split(" ")[:3] for line in lines] == [
        ["page:", str(TODAY - timedelta(days=1)), "log_loss"],
    ]
