import polars as pl
import pytest

from ondeck_core.statcast.parse import RULE, CorrectionRule, read_cells
from ondeck_core.statcast.row_checks import CODE, REASON, REPEATED_KEY
from tests.unit.test_core_statcast_parse import cells

FOUR_BALLS = {"balls": "4"}
THREE = CorrectionRule(number=7, cells={"balls": "4"}, instead={"balls": "3"})


def test_a_rule_corrects_matching_rows_and_reports_the_original() -> None:
    reading = read_cells(cells({}, FOUR_BALLS | {"pitch_number": "2"}, {"pitch_number": "3"}), [THREE])
    assert reading.rows.sort("pitch_number")["balls"].to_list() == [0, 3, 0]
    assert (reading.misfits.height, reading.mended.select("balls", CODE, RULE).rows()) == (
        0,
        [("4", "out_of_range", 7)],
    )
    assert reading.mended_at.to_list() == [1]


@pytest.mark.parametrize(
    "rule",
    [
        CorrectionRule(number=1, cells={"balls": "5"}, instead={"balls": "3"}),
        CorrectionRule(number=1, cells={"balls": "4", "pitch_number": "9"}, instead={"balls": "3"}),
        CorrectionRule(number=1, cells={"no such column": "4"}, instead={"balls": "3"}),
        CorrectionRule(number=1, cells={"balls": "4"}, instead={"no such column": "3"}),
        CorrectionRule(number=1, cells={"balls": "4"}, instead={"balls": "-1"}),
    ],
    ids=["another text", "another row", "unknown column matched", "unknown column set", "still invalid"],
)
def test_a_rule_that_does_not_match_or_help_leaves_a_row_unchanged(rule: CorrectionRule) -> None:
    reading = read_cells(cells(FOUR_BALLS), [rule])
    assert (reading.rows.height, reading.mended.height) == (0, 0)
    assert reading.misfits.select("balls", REASON).rows() == [("4", "balls: not from 0 to 3")]
    assert reading.misfits_at.to_list() == [0]


def test_a_rule_never_changes_a_valid_row() -> None:
    rule = CorrectionRule(number=1, cells={"balls": "0"}, instead={"balls": "3"})
    assert read_cells(cells({"balls": "0"}), [rule]).rows["balls"].to_list() == [0]


def test_a_corrected_row_never_replaces_a_valid_one() -> None:
    reading = read_cells(cells({**FOUR_BALLS, "type": "corrected"}, {"type": "valid"}), [THREE])
    assert reading.rows["type"].to_list() == ["valid"]
    assert reading.misfits.select("type", "balls", CODE).rows() == [("corrected", "4", REPEATED_KEY)]
    assert (reading.misfits_at.to_list(), reading.mended.height) == ([0], 0)


def test_an_absent_value_can_be_matched_and_set() -> None:
    rules = [
        CorrectionRule(number=1, cells={"inning": ""}, instead={"inning": "1"}),
        CorrectionRule(number=2, cells={"plate_x": "far out"}, instead={"plate_x": ""}),
    ]
    reading = read_cells(cells({"inning": ""}, {"plate_x": " far out ", "pitch_number": "2"}), rules)
    assert reading.rows["inning"].to_list() == [1, 1]
    assert reading.rows["plate_x"][1] is None
    assert reading.mended[RULE].to_list() == [1, 2]


def test_later_rules_see_the_result_of_earlier_ones() -> None:
    rules = [
        CorrectionRule(number=1, cells={"balls": "4"}, instead={"balls": "four"}),
        CorrectionRule(number=2, cells={"balls": "four"}, instead={"balls": "3"}),
    ]
    reading = read_cells(cells(FOUR_BALLS), rules)
    assert (reading.rows["balls"].to_list(), reading.mended[RULE].to_list()) == ([3], [2])


def test_a_column_with_an_internal_name_is_kept() -> None:
    conflicting = cells(FOUR_BALLS).with_columns(rule=pl.lit("x"), code=pl.lit("y"))
    mended = read_cells(conflicting, [THREE]).mended
    assert mended.select("rule (as it came)", "code (as it came)", RULE).rows() == [("x", "y", 7)]
