"""The pitch simulator follows the rules of baseball and of the schema."""

from datetime import date

import polars as pl
import pytest

from ondeck_core.statcast.parse import parse_cells
from ondeck_ingest.pipeline.load import as_simulated
from ondeck_ingest.sources.simulator import GAME_TYPE, simulated_day

DAY = date(2026, 6, 1)


@pytest.fixture(scope="module", params=range(5))
def game(request: pytest.FixtureRequest) -> pl.DataFrame:
    return parse_cells(pl.concat(simulated_day(DAY, seed=request.param))).rows


def test_every_row_of_a_simulated_day_is_valid() -> None:
    assert parse_cells(pl.concat(simulated_day(DAY, games=3))).rejected.height == 0


def test_the_same_day_and_seed_give_the_same_rows() -> None:
    first, second = (pl.concat(simulated_day(DAY, seed=4)) for _ in range(2))
    assert first.equals(second)
    assert not first.equals(pl.concat(simulated_day(DAY, seed=5)))


def test_a_simulated_game_is_labelled_in_kind_names_and_ids(game: pl.DataFrame) -> None:
    labelled = as_simulated(game)
    assert set(labelled["game_type"]) == {GAME_TYPE}
    assert labelled["player_name"].str.starts_with("Simulated, ").all()
    assert set(labelled["home_team"]) | set(labelled["away_team"]) == {"SIM-A", "SIM-B"}
    for name in ("game_pk", "batter", "pitcher"):
        assert (labelled[name] < 0).all()


def test_every_half_inning_but_the_last_has_three_outs(game: pl.DataFrame) -> None:
    outs = (
        game.filter(pl.col("events").is_in(("strikeout", "field_out")))
        .group_by("inning", "inning_topbot")
        .len()
        .sort("inning", "inning_topbot", descending=[False, True])["len"]
        .to_list()
    )
    assert outs[:-1] == [3] * (len(outs) - 1)
    assert 0 < outs[-1] <= 3


def test_a_plate_appearance_ends_by_the_count(game: pl.DataFrame) -> None:
    last = game.group_by("at_bat_number", maintain_order=True).last()
    walks, strikeouts = (last.filter(pl.col("events") == event) for event in ("walk", "strikeout"))
    assert set(walks["balls"]) <= {3}
    assert set(walks["description"]) <= {"ball"}
    assert set(strikeouts["strikes"]) <= {2}
    assert set(strikeouts["description"]) <= {"called_strike", "swinging_strike"}
    assert last["events"].null_count() <= 1


def test_no_runner_is_on_two_bases_or_bats(game: pl.DataFrame) -> None:
    for players in game.select("batter", "on_1b", "on_2b", "on_3b").iter_rows():
        present = [player for player in players if player is not None]
        assert len(present) == len(set(present))


def test_scores_never_decrease(game: pl.DataFrame) -> None:
    for name in ("home_score", "away_score"):
        assert (game[name].diff().drop_nulls() >= 0).all()
