"""Reads the view "scores": how the predictions that were served came out, by day, and how far the inputs drifted."""

from collections import defaultdict
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from ondeck_server.dashboard.data_view import to_json

if TYPE_CHECKING:
    from ondeck_store.connection import Connection

SHOWN_DAYS: Final = 90
_DAILY: Final = ("log_loss", "promised_log_loss", "ece")  # shown as lines, of all rows
_LINES: Final = """
SELECT model, version, metric, day, value, at_training FROM served_scores
WHERE day >= $1 AND subject = '' AND metric = ANY ($2) ORDER BY model, version, metric, day
"""
_LATEST: Final = """
SELECT model, version, metric, subject, day, rows, games, value, at_training, alarm, pages
FROM served_scores JOIN (
    SELECT model, version, metric, max(day) AS day FROM served_scores WHERE day >= $1 GROUP BY model, version, metric
) AS latest USING (model, version, metric, day)
ORDER BY model, version, alarm DESC, metric, subject
"""


async def read_scores(connection: "Connection", today: date) -> dict[str, Any]:
    """Return by version the lines of the last days, and each score of its latest day, alarms first."""
    first = today - timedelta(days=SHOWN_DAYS)
    lines: defaultdict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for row in await connection.fetch(_LINES, first, list(_DAILY)):
        point = [row["day"].isoformat(), row["value"], row["at_training"]]
        lines[f"{row['model']} {row['version']}"][row["metric"]].append(point)
    latest: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in await connection.fetch(_LATEST, first):
        latest[f"{row['model']} {row['version']}"].append({name: to_json(value) for name, value in row.items()})
    return {"versions": {name: {"lines": lines[name], "latest": scores} for name, scores in latest.items()}}
