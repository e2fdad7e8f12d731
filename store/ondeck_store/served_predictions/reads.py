"""Reads of served predictions: by day and version, with the outcomes that ingest has stored since."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import polars as pl
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ondeck_core.statcast.schema import SCHEMA
from ondeck_store.served_predictions.writes import partition_name

# Games as those of the training rows: the regular season of the major leagues.
_GAMES: Final = "g.league = 'major' AND g.game_type = 'R' AND NOT g.simulated"
_KEY: Final = "game_pk, at_bat_number, pitch_number"
_JOINED: Final = f"""
served_predictions AS s JOIN pitches AS p USING ({_KEY})
JOIN games AS g ON g.game_pk = p.game_pk AND g.season = p.game_year
"""
_SERVED_ON: Final = "(s.served_at AT TIME ZONE 'UTC')::date"
_DAYS: Final = text(f"""
SELECT DISTINCT p.game_date AS day FROM {_JOINED} WHERE {_GAMES}
UNION SELECT DISTINCT {_SERVED_ON} FROM served_predictions AS s WHERE s.game_pk IS NULL ORDER BY day
""")  # noqa: S608  constant names
_VERSIONS: Final = text(f"""
SELECT s.model, s.version, s.digest FROM {_JOINED} WHERE p.game_date = :day AND p.game_year = :season AND {_GAMES}
UNION SELECT s.model, s.version, s.digest FROM served_predictions AS s
WHERE s.game_pk IS NULL AND s.served_at >= CAST (:day AS date)::timestamp AT TIME ZONE 'UTC'
    AND s.served_at < (CAST (:day AS date) + 1)::timestamp AT TIME ZONE 'UTC'
ORDER BY model, version, digest
""")  # noqa: S608  constant names
_UNKEYED: Final = text("""
SELECT s.instance FROM served_predictions AS s
WHERE s.game_pk IS NULL AND s.served_at >= CAST (:day AS date)::timestamp AT TIME ZONE 'UTC'
    AND s.served_at < (CAST (:day AS date) + 1)::timestamp AT TIME ZONE 'UTC'
    AND s.model = :model AND s.version = :version AND s.digest = :digest
""")


@dataclass(frozen=True, kw_only=True, order=True)
class ServedVersion:
    """A version that served predictions; `digest` is the SHA-256 of its graph."""

    model: str
    version: int
    digest: bytes


@dataclass(frozen=True, kw_only=True)
class PredictionsWithOutcomes:
    """n predictions as they are stored, and the Statcast columns of their pitches in `rows`; one for each pitch."""

    instances: Sequence[bytes]
    probabilities: Sequence[bytes]
    prediction_sets: Sequence[Sequence[int]]
    games: Sequence[int]
    rows: pl.DataFrame


async def days_with_predictions(connection: AsyncConnection) -> list[date]:
    """List the days that can be scored: of games with predictions and outcomes, or of predictions without a pitch."""
    return [row.day for row in await connection.execute(_DAYS)]


async def is_retained(connection: AsyncConnection, day: date) -> bool:
    """Return whether the predictions that were served on a day (UTC) have not been dropped by the retention."""
    partition = {"name": partition_name(day)}
    return bool((await connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), partition)).scalar_one())


async def versions_of_day(connection: AsyncConnection, day: date) -> list[ServedVersion]:
    """List the versions with predictions to score on a day."""
    found = await connection.execute(_VERSIONS, {"day": day, "season": day.year})
    return [ServedVersion(model=row.model, version=row.version, digest=row.digest) for row in found]


async def read_with_outcomes(
    connection: AsyncConnection, day: date, served: ServedVersion, columns: Sequence[str]
) -> PredictionsWithOutcomes:
    """Read the predictions of the pitches of a day; of several for one pitch the last one."""
    names = ", ".join(f"p.{name}" for name in columns)
    query = text(f"""
    SELECT DISTINCT ON ({_KEY}) s.instance, s.probabilities, s.prediction_sets, s.game_pk, {names}
    FROM {_JOINED} WHERE p.game_date = :day AND p.game_year = :season AND {_GAMES}
        AND s.model = :model AND s.version = :version AND s.digest = :digest
    ORDER BY {_KEY}, s.served_at DESC
    """)  # noqa: S608  constant names, and columns of the schema
    found = (await connection.execute(query, _values(day, served) | {"season": day.year})).mappings().all()
    return PredictionsWithOutcomes(
        instances=[row["instance"] for row in found],
        probabilities=[row["probabilities"] for row in found],
        prediction_sets=[row["prediction_sets"] for row in found],
        games=[row["game_pk"] for row in found],
        rows=pl.DataFrame(
            {name: [row[name] for row in found] for name in columns}, {each: SCHEMA[each] for each in columns}
        ),
    )


async def read_unkeyed_instances(connection: AsyncConnection, day: date, served: ServedVersion) -> list[bytes]:
    """Read the instances of the predictions that were served on a day (UTC) without the key of a pitch."""
    found = await connection.execute(_UNKEYED, _values(day, served))
    return [row.instance for row in found]


def _values(day: date, served: ServedVersion) -> dict[str, Any]:
    return {"day": day, "model": served.model, "version": served.version, "digest": served.digest}
