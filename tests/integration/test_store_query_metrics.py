"""The time of statements is measured by operation and table; no other text of a statement becomes a label."""

import re

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from ondeck_runtime.metrics import MetricsBlock
from ondeck_runtime.metrics_page import MetricsPage
from ondeck_store.database import Database
from ondeck_store.query_metrics import measure_queries, summarize


@pytest.mark.parametrize(
    ("statement", "summary"),
    [
        ("SELECT ingest_ledger.day FROM ingest_ledger WHERE source = $1", "SELECT ingest_ledger"),
        ("INSERT INTO quarantine (id) VALUES ($1)", "INSERT quarantine"),
        ("\n  UPDATE ingest_ledger SET state = $1", "UPDATE ingest_ledger"),
        ("DELETE FROM ONLY pitches WHERE season = 2024", "DELETE pitches"),
        ("WITH new AS (SELECT 1 FROM pitches) INSERT INTO games SELECT * FROM new", "INSERT pitches"),
        ("WITH latest AS (SELECT day FROM ingest_ledger) SELECT * FROM latest", "SELECT ingest_ledger"),
        ("SELECT 'secret' FROM somewhere", "SELECT other"),
        ("CREATE EXTENSION secret", "other other"),
    ],
)
def test_a_statement_is_named_by_its_operation_and_first_table(statement: str, summary: str) -> None:
    assert summarize(statement) == summary


async def test_statements_are_timed_and_failed_ones_left_out(database: Database) -> None:
    page = MetricsPage(MetricsBlock())
    measure_queries(database.engine, page.own)
    async with database.engine.connect() as connection:
        for _ in range(3):
            await connection.execute(text("SELECT count(*) FROM ingest_ledger"))
        with pytest.raises(DBAPIError):
            await connection.execute(text("SELECT missing FROM ingest_ledger"))
    counted = re.findall(
        r'^ondeck_database_query_seconds_count{statement="(.*)"} (\S+)$', page.text().decode(), re.MULTILINE
    )
    assert dict(counted)["SELECT ingest_ledger"] == "3.0"
