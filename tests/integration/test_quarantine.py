"""Quarantined rows and correction rules."""

import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from ondeck_core.errors import NotFoundError, SourceRefusedError
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, load_unit
from ondeck_ingest.pipeline.quarantine_retry import retry_quarantined
from ondeck_store.database import Database
from ondeck_store.ingest.ledger import latest_entries, unknown_columns
from ondeck_store.ingest.quarantine import (
    NewCorrectionRule,
    QuarantinedRow,
    QuarantineFilter,
    active_rules,
    add_rule,
    all_rules,
    count_open,
    dismiss_rows,
    find_rows,
    revoke_rule,
)
from tests.factories.statcast_rows import as_csv, sample_cells

CELLS = sample_cells(date(2022, 6, 1), days=1)
ROWS = CELLS.height
FIRST_ROW = pl.int_range(pl.len()) == 0
INVALID = CELLS.with_columns(balls=pl.when(FIRST_ROW).then(pl.lit("4")).otherwise("balls"))
DAY = IngestUnit(source="savant", name="2022-06-01", day=date(2022, 6, 1))
RULE = NewCorrectionRule(
    created_by="a person", reason="the count was misread", cells={"balls": "4"}, replacement={"balls": "3"}
)


async def rows_of(database: Database, which: QuarantineFilter | None = None) -> list[QuarantinedRow]:
    async with database.engine.connect() as connection:
        return await find_rows(connection, which or QuarantineFilter(closed=True))


async def store_rule(database: Database, rule: NewCorrectionRule = RULE) -> int:
    async with database.engine.begin() as connection:
        return await add_rule(connection, rule)


async def stored(database: Database) -> list[tuple[int, int]]:
    async with database.engine.connect() as connection:
        found = await connection.execute(text("SELECT count(*), max(balls) FROM pitches"))
        return [(row[0], row[1]) for row in found]


async def test_a_row_is_quarantined_once_as_received_with_its_reason(database: Database) -> None:
    for _ in range(2):
        assert (await load_unit(database.engine, DAY, INVALID)).quarantined == 1
    (row,) = await rows_of(database)
    assert (row.code, row.reason, row.outcome) == ("out_of_range", "balls: not from 0 to 3", None)
    assert row.cells == INVALID.row(0, named=True)
    async with database.engine.connect() as connection:
        assert await count_open(connection) == {"out_of_range": 1}


async def test_a_retry_stores_what_a_rule_corrects_and_reports_it(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    assert await retry_quarantined(database.engine, QuarantineFilter()) == LoadCounts(rows_in=1, quarantined=1)
    number = await store_rule(database)
    assert await retry_quarantined(database.engine, QuarantineFilter(code="missing")) == LoadCounts()
    assert await retry_quarantined(database.engine, QuarantineFilter(code="out_of_range")) == LoadCounts(
        rows_in=1, inserted=1
    )
    (row,) = await rows_of(database)
    assert (row.outcome, row.rule, row.cells["balls"]) == ("stored", number, "4")
    assert await stored(database) == [(ROWS, 3)]
    assert await retry_quarantined(database.engine, QuarantineFilter()) == LoadCounts()
    async with database.engine.connect() as connection:
        run = next(each for each in await latest_entries(connection) if each.source == "quarantine" and each.rows_in)
    assert (run.rows_in, run.inserted, run.quarantined) in {(1, 1, 0), (1, 0, 1)}


async def test_a_rule_applies_to_later_rows_until_revoked(database: Database) -> None:
    number = await store_rule(database)
    assert await load_unit(database.engine, DAY, INVALID) == LoadCounts(rows_in=ROWS, inserted=ROWS)
    assert await load_unit(database.engine, DAY, INVALID) == LoadCounts(rows_in=ROWS, unchanged=ROWS)
    (row,) = await rows_of(database)
    assert (row.outcome, row.rule, row.reason) == ("stored", number, "balls: not from 0 to 3")
    async with database.engine.begin() as connection:
        await revoke_rule(connection, number)
    assert (await load_unit(database.engine, DAY, INVALID)).quarantined == 1
    assert [each.outcome for each in await rows_of(database)] == [None]


async def test_a_rule_is_never_lost(database: Database) -> None:
    number = await store_rule(database)
    async with database.engine.begin() as connection:
        await revoke_rule(connection, number)
        assert await active_rules(connection) == []
        (kept,) = await all_rules(connection)
        assert (kept.created_by, kept.reason, kept.revoked_at is not None) == (RULE.created_by, RULE.reason, True)
        with pytest.raises(NotFoundError, match=f"no rule '{number}'"):
            await revoke_rule(connection, number)


async def test_a_day_ingested_again_without_a_row_supersedes_it(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    await load_unit(database.engine, IngestUnit(source="file", name="another"), INVALID)
    assert await load_unit(database.engine, DAY, CELLS) == LoadCounts(rows_in=ROWS, inserted=1, unchanged=ROWS - 1)
    assert {row.source: row.outcome for row in await rows_of(database)} == dict.fromkeys(
        ("savant", "file"), "superseded"
    )
    await load_unit(database.engine, DAY, INVALID)
    assert {row.source: row.outcome for row in await rows_of(database)} == {"savant": None, "file": "superseded"}


async def test_a_row_that_is_valid_now_is_stored_unchanged(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    async with database.engine.begin() as connection:
        await connection.execute(text("""UPDATE quarantine SET cells = cells || '{"balls": "3"}'"""))
    assert await retry_quarantined(database.engine, QuarantineFilter()) == LoadCounts(rows_in=1, inserted=1)
    assert [(row.outcome, row.rule) for row in await rows_of(database)] == [("stored", None)]


async def test_a_duplicate_key_never_replaces_the_first_row(database: Database) -> None:
    again = CELLS.head(1).with_columns(des=pl.lit("another"))
    await load_unit(database.engine, DAY, pl.concat([CELLS, again]))
    assert await retry_quarantined(database.engine, QuarantineFilter()) == LoadCounts(rows_in=1, quarantined=1)
    assert [(row.code, row.outcome) for row in await rows_of(database)] == [("repeated_key", None)]
    async with database.engine.connect() as connection:
        assert set((await connection.execute(text("SELECT des FROM pitches"))).scalars()) == {"simulated"}


async def test_rows_of_many_units_with_different_columns_are_retried_together(database: Database) -> None:
    other = sample_cells(date(2022, 6, 2), days=1, seed=1).with_columns(
        balls=pl.when(FIRST_ROW).then(pl.lit("4")).otherwise("balls"), code=pl.lit("x"), never_seen=pl.lit("y")
    )
    await load_unit(database.engine, DAY, INVALID)
    await load_unit(database.engine, IngestUnit(source="file", name="b.csv"), other)
    await store_rule(database)
    assert await retry_quarantined(database.engine, QuarantineFilter()) == LoadCounts(rows_in=2, inserted=2)
    async with database.engine.connect() as connection:
        extra = await connection.execute(text("SELECT DISTINCT extra ->> 'never_seen', extra ->> 'code' FROM pitches"))
        assert {tuple(row) for row in extra} == {(None, None), ("y", "x")}


async def test_a_row_that_contradicts_what_is_stored_changes_nothing(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    await store_rule(
        database,
        NewCorrectionRule(
            created_by="x",
            reason="y",
            cells={"balls": "4"},
            replacement={"balls": "3", "game_year": "2021", "game_date": "2021-06-01"},
        ),
    )
    with pytest.raises(SourceRefusedError, match="a row contradicts what is stored"):
        await retry_quarantined(database.engine, QuarantineFilter())
    assert [row.outcome for row in await rows_of(database)] == [None]


async def test_unknown_columns_are_logged_once(database: Database) -> None:
    invalid = CELLS.with_columns(spin_axis_2=pl.lit("1"), zone_2=pl.lit("2"))
    with capture_logs() as logs:
        for unit in (DAY, IngestUnit(source="file", name="again"), DAY):
            await load_unit(database.engine, unit, invalid)
    events = [each for each in logs if "columns" in each]
    assert [(each["columns"], each["unit"]) for each in events] == [(["spin_axis_2", "zone_2"], DAY.name)]
    async with database.engine.connect() as connection:
        seen = await unknown_columns(connection)
    assert [(each.name, each.source, each.unit) for each in seen] == [
        ("spin_axis_2", "savant", DAY.name),
        ("zone_2", "savant", DAY.name),
    ]


def quarantine(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ondeck_cli", "ingest", *words, "--home", str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=None)


def test_the_quarantine_commands_list_show_correct_and_retry(
    tmp_path: Path, store_home: Path, database: Database
) -> None:
    (tmp_path / "invalid.csv").write_bytes(as_csv(INVALID))
    quarantine(store_home, "files", str(tmp_path / "invalid.csv"))
    assert database.described
    listed = quarantine(store_home, "quarantine", "list", "--code", "out_of_range").stdout
    assert "quarantined: 1" in listed
    number = next(word for word in listed.split() if word.isdigit() and word != "1")
    shown = quarantine(store_home, "quarantine", "show", number).stdout
    assert "out_of_range: balls: not from 0 to 3" in shown
    assert "\n> balls: 4\n" in shown
    rule_options = ("--where", "balls=4", "--where", "pitch_number=1", "--set", "balls=3", "--reason", "misread")
    assert quarantine(store_home, "quarantine", "rules", "add", *rule_options).stdout.startswith("rule ")
    done = quarantine(store_home, "quarantine", "retry")
    assert done.stdout.splitlines()[-1] == "1 rows in: 1 new, 0 changed, 0 unchanged, 0 quarantined"
    assert "quarantined: 0" in quarantine(store_home, "quarantine", "list").stdout
    assert "stored by rule" in " ".join(quarantine(store_home, "quarantine", "show", number).stdout.split())
    assert "misread" in quarantine(store_home, "quarantine", "rules", "list").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("show", "77"), "no quarantined row '77'"),
        (("rules", "add", "--where", "balls", "--set", "balls=3", "--reason", "x"), "'balls' is not COLUMN=TEXT"),
        (("rules", "revoke", "77"), "no rule '77'; available: none"),
        (("show", "9" * 20), "is not in the range"),
        (("retry", "9" * 20), "is not in the range"),
        (("list", "--limit", "9" * 20), "is not in the range"),
        (("rules", "revoke", "9" * 20), "is not in the range"),
        (("list", "--unit", b"d\xeda.csv".decode(errors="surrogateescape")), "surrogates not allowed"),
    ],
)
def test_an_invalid_argument_is_refused_with_a_reason(
    store_home: Path, database: Database, words: tuple[str, ...], complaint: str
) -> None:
    done = quarantine(store_home, "quarantine", *words)
    assert (done.returncode != 0, complaint in done.stderr, "Traceback" in done.stderr) == (True, True, False)
    assert database.described


async def test_a_pitch_that_comes_whole_from_another_source_closes_its_quarantined_row(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    whole = CELLS.filter(FIRST_ROW).with_columns(game_pk=pl.col("game_pk") + ".0")
    await load_unit(database.engine, IngestUnit(source="file", name="whole.csv"), whole)
    (row,) = await rows_of(database)
    assert (row.outcome, row.closed_at is not None) == ("superseded", True)


async def test_a_row_without_a_date_is_closed_by_its_key(database: Database) -> None:
    undated = CELLS.with_columns(game_date=pl.when(FIRST_ROW).then(pl.lit("soon")).otherwise("game_date"))
    await load_unit(database.engine, DAY, undated)
    await load_unit(database.engine, IngestUnit(source="file", name="another pitch"), CELLS.tail(1))
    assert [row.outcome for row in await rows_of(database)] == [None]
    await load_unit(database.engine, IngestUnit(source="file", name="the pitch"), CELLS.head(1))
    assert [row.outcome for row in await rows_of(database)] == ["superseded"]


async def test_a_repeated_row_stays_open_beside_its_stored_twin(database: Database) -> None:
    twice = pl.concat([CELLS, CELLS.head(1).with_columns(plate_x=pl.lit("0.5"))])
    for unit in (DAY, IngestUnit(source="file", name="again"), DAY):
        await load_unit(database.engine, unit, twice)
    assert {row.outcome for row in await rows_of(database)} == {None}


async def test_a_dismissed_row_stays_closed_with_its_reason_when_its_unit_comes_again(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    (row,) = await rows_of(database)
    async with database.engine.begin() as connection:
        assert await dismiss_rows(connection, [row.id, row.id + 1], actor="a person", reason="a test game") == 1
    await load_unit(database.engine, DAY, INVALID)
    (row,) = await rows_of(database)
    assert (row.outcome, row.dismissed_by, row.dismissed_reason) == ("dismissed", "a person", "a test game")
    async with database.engine.connect() as connection:
        assert await count_open(connection) == {}


def test_the_command_dismisses_rows_and_names_those_that_are_not_open(
    tmp_path: Path, store_home: Path, database: Database
) -> None:
    (tmp_path / "invalid.csv").write_bytes(as_csv(INVALID))
    assert quarantine(store_home, "files", str(tmp_path / "invalid.csv")).returncode == 0
    open_rows = quarantine(store_home, "quarantine", "list").stdout
    number = next(word for word in open_rows.split() if word.isdigit() and word != "1")
    first = quarantine(store_home, "quarantine", "dismiss", number, "--reason", "a test game")
    assert first.stdout == "1 of 1 rows dismissed\n"
    again = quarantine(store_home, "quarantine", "dismiss", number, "--reason", "a test game")
    assert again.stdout == "0 of 1 rows dismissed; the others are not open\n"
    assert "(a test game)" in quarantine(store_home, "quarantine", "show", number).stdout
    assert database.engine.url.query["host"]


async def test_more_rows_than_a_statement_has_parameters_are_retried(database: Database) -> None:
    await load_unit(database.engine, DAY, INVALID)
    copied = text("""
    INSERT INTO quarantine (source, unit, code, reason, cells, cells_sha256)
    SELECT 'file', 'many', 'out_of_range', reason,
        cells || jsonb_build_object(
            'balls', '3', 'at_bat_number', (1 + number / 900)::text, 'pitch_number', (1 + number % 900)::text
        ), number::text
    FROM quarantine, generate_series(1, 33000) AS number
    """)
    async with database.engine.begin() as connection:
        await connection.execute(copied)
    counts = await retry_quarantined(database.engine, QuarantineFilter(unit="many"))
    assert (counts.rows_in, counts.quarantined) == (33000, 0)
    assert {row.outcome for row in await rows_of(database, QuarantineFilter(unit="many", closed=True))} == {"stored"}
