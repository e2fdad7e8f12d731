"""The stored scores of served predictions, and the evidence of drift that accumulates over their days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Final

from sqlalchemy import delete, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.drift_alarms import EVIDENCE_LEVEL, accumulate_evidence
from ondeck_core.served_scores import ServedScore
from ondeck_store.tables.served_predictions import served_scores

_LOCK: Final = 0x0DEE  # any number, but the same for every Ondeck program: evidence depends on all days
_PAGING: Final = text("""
SELECT metric, subject, day, p_value FROM served_scores
WHERE model = :model AND version = :version AND pages ORDER BY metric, subject, day
""")
_SCORED_ROWS: Final = text("""
SELECT coalesce(max(rows) FILTER (WHERE metric <> 'unkeyed_input_drift'), 0),
    coalesce(max(rows) FILTER (WHERE metric = 'unkeyed_input_drift'), 0)
FROM served_scores WHERE day = :day AND model = :model AND version = :version
""")
_NEWEST_ALARMS: Final = text("""
SELECT model, version,
    count(*) FILTER (WHERE alarm AND pages) AS paging, count(*) FILTER (WHERE alarm AND NOT pages) AS other
FROM served_scores AS scores
WHERE day > CURRENT_DATE - CAST(:days AS integer) AND day = (
    SELECT max(day) FROM served_scores AS newest
    WHERE newest.model = scores.model AND newest.version = scores.version AND newest.metric = scores.metric)
GROUP BY model, version
""")
_UPDATE: Final = text("""
UPDATE served_scores SET statistic = :statistic, level = :level, alarm = :alarm
WHERE model = :model AND version = :version AND metric = :metric AND subject = :subject AND day = :day
""")


@dataclass(frozen=True, kw_only=True)
class StoredScore:
    """A row of the table: a `ServedScore` with its day and version, and whether it is an alarm."""

    day: date
    model: str
    version: int
    metric: str
    subject: str
    rows: int
    games: int
    value: float
    at_training: float | None
    p_value: float | None
    statistic: float | None
    level: float | None
    alarm: bool
    pages: bool


async def lock_scores(connection: AsyncConnection) -> None:
    """Wait until no other program computes or stores scores; lock them until the end of the transaction."""
    await connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))


async def read_scored_rows(connection: AsyncConnection, day: date, model: str, version: int) -> tuple[int, int]:
    """Read how many predictions the stored scores of a day are of: those with an outcome, and those without a pitch."""
    found = await connection.execute(_SCORED_ROWS, {"day": day, "model": model, "version": version})
    scored, unkeyed = found.one()
    return scored, unkeyed


async def replace_scores(
    connection: AsyncConnection, day: date, model: str, version: int, scores: Sequence[ServedScore]
) -> None:
    """Store the scores of a day and a version in place of former ones, and update the evidence of all its days.

    Programs that do this at once wait for each other.
    """
    await lock_scores(connection)
    own = {"model": model, "version": version}
    table = served_scores.c
    await connection.execute(
        delete(served_scores).where(table.day == day, table.model == model, table.version == version)
    )
    if scores:
        await connection.execute(insert(served_scores), [_row(each) | own | {"day": day} for each in scores])
    found = (await connection.execute(_PAGING, own)).all()
    for (metric, subject), days in groupby(found, key=lambda row: (row.metric, row.subject)):
        of_metric = list(days)
        evidence = accumulate_evidence(row.p_value for row in of_metric)
        await connection.execute(
            _UPDATE,
            [
                own
                | {"metric": metric, "subject": subject, "day": row.day, "statistic": value, "level": EVIDENCE_LEVEL}
                | {"alarm": value >= EVIDENCE_LEVEL}
                for row, value in zip(of_metric, evidence, strict=True)
            ],
        )


def _row(score: ServedScore) -> dict[str, object]:
    return {
        "metric": score.metric,
        "subject": score.subject,
        "rows": score.rows,
        "games": score.games,
        "value": score.value,
        "at_training": score.at_training,
        "p_value": score.p_value,
        "statistic": score.test.statistic,
        "level": score.test.level,
        "alarm": score.test.is_alarm,
        "pages": score.pages,
    }


async def read_scores(
    connection: AsyncConnection, *, since: date | None = None, model: str | None = None
) -> list[StoredScore]:
    """Read the scores since a day, of all models or of one, by model, version, day, metric and subject."""
    table = served_scores.c
    query = select(*(table[name] for name in StoredScore.__dataclass_fields__))
    if since is not None:
        query = query.where(table.day >= since)
    if model is not None:
        query = query.where(table.model == model)
    query = query.order_by(table.model, table.version, table.day, table.metric, table.subject)
    return [StoredScore(**row) for row in (await connection.execute(query)).mappings()]


@dataclass(frozen=True, kw_only=True)
class ServedAlarms:
    """How many alarms a version has on the newest day of each metric: those that page, and those that inform.

    Predictions without a pitch are scored on the day they were served, before there are outcomes of that day.
    """

    model: str
    version: int
    paging: int
    other: int


async def read_alarms(connection: AsyncConnection, days: int) -> list[ServedAlarms]:
    """Read the alarms of each version that was scored within some days."""
    found = await connection.execute(_NEWEST_ALARMS, {"days": days})
    return [ServedAlarms(**row) for row in found.mappings()]
