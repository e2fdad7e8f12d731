"""Correction rules applied to Statcast rows."""

import polars as pl
import pytest

from ondeck_core.statcast.parse import RULE, CorrectionRule, parse_cells
from ondeck_core.statcast.row_checks import CODE, REASON, REPEATED_KEY
from tests.unit.test_core_statcast_parse import cells

FOUR_BALLS = {"balls": "4"}
THREE = CorrectionRule(number=7, cells={"balls": "4"}, replacement={"balls": "3"})


def test_a_rule_corrects_matching_rows_and_reports_the_original() -> None:
    reading = parse_cells(cells({}, FOUR_BALLS | {"pitch_number": "2"}, {"pitch_number": "3"}), [THREE])
    assert reading.rows.sort("pitch_number")["balls"].to_list() == [0, 3, 0]
    assert (reading.rejected.height, reading.corrected.select("balls", CODE, RULE).rows()) == (
        0,
        [("4", "out_of_range", 7)],
    )
    assert reading.corrected_positions.to_list() == [1]


@pytest.mark.parametrize(
    "rule",
    [
        CorrectionRule(number=1, cells={"balls": "5"}, replacement={"balls": "3"}),
        CorrectionRule(number=1, cells={"balls": "4", "pitch_number": "9"}, replacement={"balls": "3"}),
        CorrectionRule(number=1, cells={"no such column": "4"}, replacement={"balls": "3"}),
        CorrectionRule(number=1, cells={"balls": "4"}, replacement={"no such column": "3"}),
        CorrectionRule(number=1, cells={"balls": "4"}, replacement={"balls": "-1"}),
    ],
    ids=["another text", "another row", "unknown column matched", "unknown column set", "still invalid"],
)
def test_a_rule_that_does_not_match_or_help_leaves_a_row_unchanged(rule: CorrectionRule) -> None:
    reading = parse_cells(cells(FOUR_BALLS), [rule])
    assert (reading.rows.height, reading.corrected.height) == (0, 0)
    assert reading.rejected.select("balls", REASON).rows() == [("4", "balls: not from 0 to 3")]
    assert reading.rejected_positions.to_list() == [0]


def test_a_rule_never_changes_a_valid_row() -> None:
    rule = CorrectionRule(number=1, cells={"balls": "0"}, replacement={"balls": "3"})
    assert parse_cells(cells({"balls": "0"}), [rule]).rows["balls"].to_list() == [0]


def test_a_corrected_row_never_replaces_a_valid_one() -> None:
    reading = parse_cells(cells({**FOUR_BALLS, "type": "corrected"}, {"type": "valid"}), [THREE])
    assert reading.rows["type"].to_list() == ["valid"]
    assert reading.rejected.select("type", "balls", CODE).rows() == [("corrected", "4", REPEATED_KEY)]
    assert (reading.rejected_positions.to_list(), reading.corrected.height) == ([0], 0)


def test_an_absent_value_can_be_matched_and_set() -> None:
    rules = [
        CorrectionRule(number=1, cells={"inning": ""}, replacement={"inning": "1"}),
        CorrectionRule(number=2, cells={"balls": "four"}, replacement={"balls": "3", "plate_x": ""}),
    ]
    reading = parse_cells(cells({"inning": ""}, {"balls": " four ", "pitch_number": "2"}), rules)
    assert reading.rows["inning"].to_list() == [1, 1]
    assert reading.rows["plate_x"][1] is None
    assert reading.corrected[RULE].to_list() == [1, 2]


def test_later_rules_see_the_result_of_earlier_ones() -> None:
    rules = [
        CorrectionRule(number=1, cells={"balls": "4"}, replacement={"balls": "four"}),
        CorrectionRule(number=2, cells={"balls": "four"}, replacement={"balls": "3"}),
    ]
    reading = parse_cells(cells(FOUR_BALLS), rules)
    assert (reading.rows["balls"].to_list(), reading.corrected[RULE].to_list()) == ([3], [2])


def test_a_column_with_an_internal_name_is_kept() -> None:
    conflicting = cells(FOUR_BALLS).with_columns(rule=pl.lit("x"), code=pl.lit("y"))
    corrected = parse_cells(conflicting, [THREE]).corrected
    assert corrected.select("rule (as it came)", "code (as it came)", RULE).rows() == [("x", "y", 7)]
