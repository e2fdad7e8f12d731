"""Rows of other leagues are stored as such, train nothing, and are evaluated only when asked for."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest
import structlog
from click.testing import CliRunner
from sqlalchemy import text
from threadpoolctl import threadpool_limits

from ondeck_core.evaluation import Evaluation, RowAccount
from ondeck_core.statcast.leagues import LEAGUES, MAJOR_REGULAR_SEASON, SELECTIONS
from ondeck_core.tasks import TASKS
from ondeck_ingest.pipeline.foreground_ingest import summarize
from ondeck_ingest.pipeline.load import IngestUnit, LoadCounts, load_unit
from ondeck_runtime.logging import configure_logging
from ondeck_store.database import Database, asyncpg_connection
from ondeck_store.pitches.queries import read_day_range, read_pitches, selected_values
from ondeck_store.players.index_loader import read_index
from ondeck_store.settings import StoreSettings
from ondeck_trainer.cli.evaluate import evaluate
from ondeck_trainer.data.source import NoStoredRowsError, read_statcast_files, read_stored_rows
from tests.factories.statcast_rows import as_csv, sample_cells

DAY = date(2022, 9, 5)
GAMES = {
    "major": ("BOS", "NYY", "R"),
    "minor": ("NOR", "GWN", "R"),
    "international": ("JPN", "CZE", "F"),
    "unknown": ("XYZ", "BOS", "R"),
}
REASONS = {
    "minor": "of the minor leagues",
    "international": "of international games",
    "unknown": "of a league that the team codes do not show",
}


def game_cells(league: str, number: int) -> pl.DataFrame:
    """Return a game of a league with its own id and players."""
    home, away, game_type = GAMES[league]
    cells = sample_cells(DAY, days=1, seed=5)
    ids = (pl.col(name).cast(pl.Int64) + 1000 * number for name in ("game_pk", "batter", "pitcher"))
    labels = (
        pl.lit(text_).alias(name)
        for name, text_ in zip(("home_team", "away_team", "game_type"), (home, away, game_type), strict=True)
    )
    return cells.with_columns(each.cast(pl.String) for each in ids).with_columns(labels)


CELLS = {league: game_cells(league, number) for number, league in enumerate(LEAGUES)}


@pytest.fixture
async def stored(database: Database) -> LoadCounts:
    cells = pl.concat(CELLS.values())
    return await load_unit(database.engine, IngestUnit(source="file", name="all.csv"), cells)


async def test_every_game_is_stored_with_its_league_and_the_account_has_it(
    database: Database, stored: LoadCounts
) -> None:
    async with database.engine.connect() as connection:
        games = (await connection.execute(text("SELECT league, home_team FROM games ORDER BY game_pk"))).all()
    assert [tuple(game) for game in games] == [(league, GAMES[league][0]) for league in LEAGUES]
    assert stored.other_leagues == {league: CELLS[league].height for league in REASONS}
    lines = list(summarize(stored))
    for league, reason in REASONS.items():
        assert f"  {CELLS[league].height} rows {reason}: they are stored, but train nothing" in lines


async def test_the_log_has_each_other_league(database: Database) -> None:
    with structlog.testing.capture_logs() as events:
        await load_unit(database.engine, IngestUnit(source="file", name="minor.csv"), CELLS["minor"])
    found = [event for event in events if event["event"] == "other_league_found"]
    assert [(event["league"], event["rows"], event["unit"]) for event in found] == [
        ("minor", CELLS["minor"].height, "minor.csv")
    ]


@pytest.mark.parametrize("league", LEAGUES)
async def test_only_the_selected_league_is_read(database: Database, stored: LoadCounts, league: str) -> None:
    async with database.engine.connect() as connection:
        games = SELECTIONS[league]
        rows = await read_pitches(connection, first_day=DAY, last_day=DAY, values=selected_values(games))
        assert rows.height == CELLS[league].height
        assert set(rows["home_team"]) == {GAMES[league][0]}
        assert await read_day_range(connection, games) == (DAY, DAY)
    assert stored.rows_in == sum(cells.height for cells in CELLS.values())


async def test_training_reads_the_major_leagues_and_accounts_for_the_others(
    database: Database, stored: LoadCounts, store_home: Path
) -> None:
    source = await read_stored_rows(StoreSettings(home=store_home), TASKS["whiff"])
    assert 0 < source.rows.height == source.account.used < CELLS["major"].height
    others = {reason: CELLS[league].height for league, reason in REASONS.items()}
    assert source.account.left_out.items() >= others.items()
    assert source.account.used + sum(source.account.left_out.values()) == source.account.read
    assert source.account.read == stored.rows_in
    assert database.engine.url.query["host"]


async def test_a_minor_leaguer_has_not_played_in_the_majors(database: Database, stored: LoadCounts) -> None:
    async with database.engine.connect() as connection:
        index = await read_index(await asyncpg_connection(connection))
    by_league = {league: index.by_id("mlbam", CELLS[league]["pitcher"][0]) for league in LEAGUES}
    assert {league for league, player in by_league.items() if player is not None and player.played} == {"major"}
    assert stored.inserted == stored.rows_in


async def test_a_database_with_other_leagues_only_trains_nothing(database: Database, store_home: Path) -> None:
    await load_unit(database.engine, IngestUnit(source="file", name="minor.csv"), CELLS["minor"])
    with pytest.raises(NoStoredRowsError, match="no regular-season rows of the major leagues"):
        await read_stored_rows(StoreSettings(home=store_home), TASKS["whiff"])


def test_files_are_read_by_league_and_no_row_is_lost(tmp_path: Path) -> None:
    (tmp_path / "all.csv").write_bytes(as_csv(pl.concat(CELLS.values())))
    for league, games in SELECTIONS.items():
        source = read_statcast_files([tmp_path], TASKS["whiff"], games)
        assert source.rows.height == CELLS[league].height
        assert source.account.read == source.account.used + sum(source.account.left_out.values())
    whole = read_statcast_files([tmp_path], TASKS["whiff"], MAJOR_REGULAR_SEASON).account
    assert whole.left_out == {reason: CELLS[league].height for league, reason in REASONS.items()}


def test_another_league_is_evaluated_only_when_asked_for(
    small_repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDECK_HOME", str(tmp_path / "home"))
    configure_logging("info", "text")  # to standard error, as the command line does
    (tmp_path / "minor.csv").write_bytes(as_csv(CELLS["minor"]))
    words = ["whiff", str(tmp_path / "minor.csv"), "--model-repository", str(small_repository)]
    with threadpool_limits(1):
        refused = CliRunner().invoke(evaluate, words)
        evaluated = CliRunner().invoke(evaluate, [*words, "--league", "minor"])
        as_json = CliRunner().invoke(evaluate, [*words, "--league", "minor", "--json"])
    assert isinstance(refused.exception, NoStoredRowsError)
    assert f"{CELLS['minor'].height:,} of the minor leagues" in str(refused.exception)
    assert "`ondeck evaluate --league`" in str(refused.exception)
    assert evaluated.exit_code == 0, evaluated.exception
    assert "whiff, evaluated on 2022-09-05 to 2022-09-05 (minor)" in " ".join(evaluated.stdout.split())
    evaluation = Evaluation.model_validate(json.loads(as_json.stdout))
    assert (evaluation.league, evaluation.account.read) == ("minor", CELLS["minor"].height)  # type: ignore[union-attr]
    folder = tmp_path / "home" / "evaluations" / "whiff" / "1" / "2022-09-05_2022-09-05_minor"
    assert "(minor)" in (folder / "card.md").read_text()
    assert RowAccount.model_validate(evaluation.account) == evaluation.account
