"""Quality checks of ingested days: truncated games and unusual row counts."""

from datetime import date, timedelta

import pytest

from ondeck_ingest.pipeline.day_checks import check_game_ends, check_row_count, is_complete
from ondeck_store.ingest.ledger import GameEnd

DAY = date(2024, 6, 12)


def end(
    inning: int, half: str, outs: int, event: str | None, away: int | None, home: int | None, kind: str = "R"
) -> GameEnd:
    return GameEnd(
        game_pk=1, game_type=kind, inning=inning, half=half, outs=outs, event=event, home=home, away=away, pitches=270
    )


@pytest.mark.parametrize(
    ("game_end", "over"),
    [
        (end(9, "Bot", 2, "field_out", 5, 3), True),
        (end(9, "Top", 2, "strikeout", 3, 5), True),  # the home team does not bat
        (end(9, "Bot", 1, "grounded_into_double_play", 5, 3), True),
        (end(9, "Bot", 0, "triple_play", 5, 3), True),
        (end(9, "Bot", 1, "home_run", 4, 5), True),  # walked off
        (end(9, "Bot", 2, None, 5, 3), True),  # the last out was made on the bases
        (end(13, "Bot", 0, "single", 4, 5), True),
        (end(9, "Bot", 1, "field_out", 5, 3), False),
        (end(9, "Bot", 0, "single", 5, 3), False),
        (end(9, "Top", 1, "single", 3, 5), False),
        (end(9, "Top", 2, "field_out", 5, 3), False),
        (end(9, "Bot", 2, "field_out", 3, 3), False),  # a tie
        (end(7, "Bot", 2, "field_out", 5, 3), False),
        (end(1, "Top", 0, None, 0, 0), False),
        (end(9, "Top", 0, None, None, None), True),  # an old export without scores
        (end(4, "Top", 0, None, None, None), False),
    ],
)
def test_a_game_is_complete_by_the_rules(game_end: GameEnd, over: bool) -> None:  # noqa: FBT001  a table
    assert is_complete(game_end) is over


def test_a_truncated_game_is_reported_with_its_last_inning() -> None:
    truncated = end(5, "Top", 1, None, 2, 1)
    assert check_game_ends(DAY, [end(9, "Bot", 2, "field_out", 5, 3), truncated]) == (
        "game 1 stops in the top of inning 5 at 2:1, after 270 pitches"
    )


def test_exhibitions_and_seven_inning_games_of_2020_are_ignored() -> None:
    assert check_game_ends(DAY, [end(7, "Bot", 2, "field_out", 3, 3, kind="S")]) is None
    short = end(7, "Bot", 2, "field_out", 5, 3)
    assert check_game_ends(date(2021, 6, 12), [short]) is None
    assert check_game_ends(DAY, [short]) is not None


def rows_by_day(rows: int | None, neighbors: list[int]) -> dict[date, int]:
    """Return rows of the day and of its neighbors, alternately after and before it."""
    days = [DAY + timedelta(days=(number // 2 + 1) * (1 if number % 2 else -1)) for number in range(len(neighbors))]
    return {**({} if rows is None else {DAY: rows}), **dict(zip(days, neighbors, strict=True))}


@pytest.mark.parametrize(
    ("rows", "neighbors", "expected"),
    [
        (4200, [4300] * 14, None),
        (900, [4300] * 14, None),  # few games, a Thursday
        (800, [4300] * 14, "800 rows, but the days around have 4300"),
        (0, [4300] * 14, "0 rows, but the days around have 4300"),
        (0, [0, 4300, 4300, 4300, 4300, 4300], None),  # two days without games: a break
        (0, [0, 0, 0, 0], None),
        (300, [4300] * 3, None),  # too few neighbors
        (300, [4300] * 3 + [0] * 11, None),
        (25_000, [4300] * 14, "25000 rows, more than Savant returns at once"),
    ],
)
def test_a_day_far_from_its_neighbors_is_unusual(rows: int, neighbors: list[int], expected: str | None) -> None:
    assert check_row_count(DAY, rows_by_day(rows, neighbors)) == expected


def test_days_more_than_a_week_apart_are_no_neighbors() -> None:
    assert check_row_count(DAY, {DAY: 10, **{DAY + timedelta(days=number): 4300 for number in range(8, 20)}}) is None
