"""`ondeck train`: errors of an empty store and of unknown tasks."""

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from ondeck_store.database import Database
from ondeck_store.pitches.upsert import upsert_pitches


def train(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ondeck_cli", "train", *words], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.usefixtures("database")
async def test_an_empty_store_is_reported_with_advice(store_home: Path, tmp_path: Path) -> None:
    done = train("batted-ball", "--home", str(store_home), "--model-repository", str(tmp_path))
    assert done.returncode == 1
    assert "load some first: ondeck ingest files PATH..., or ondeck ingest days FROM TO" in done.stderr
    assert list(tmp_path.iterdir()) == []


async def test_too_few_days_are_reported_with_the_stored_ones(
    database: Database, store_home: Path, tmp_path: Path, sample_season: pl.DataFrame
) -> None:
    days = sample_season["game_date"].unique().sort()[:3].implode()
    async with database.engine.begin() as connection:
        await upsert_pitches(connection, sample_season.filter(pl.col("game_date").is_in(days)), simulated=False)
    done = train("called_strike", "--home", str(store_home), "--model-repository", str(tmp_path))
    assert done.returncode == 1
    assert "called_strike: " in done.stderr
    events = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    (account,) = [event for event in events if event["event"] == "rows_accounted"]
    assert account["read"] == account["used"] + sum(account["left_out"].values()) > 0
    assert f"{account['read']:,} rows read: {account['used']:,} used" in done.stderr
    assert done.stderr.splitlines()[-1] == (
        "error: no month has games on 15 days; stored are 3 days, 2022-06-01 to 2022-06-03"
    )


def test_an_unknown_task_is_refused_with_the_valid_ones() -> None:
    done = train("home-runs")
    assert done.returncode == 1
    assert done.stderr == "error: no task 'home-runs'; available: batted_ball, called_strike, pitch_outcome, whiff\n"
