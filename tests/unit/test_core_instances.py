"""Validation of instances and its messages."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ondeck_core.errors import InvalidInstanceError, NotFoundError, Violation
from ondeck_core.instances import BATTED_BALL, PITCH, InstanceType, valid_mask, validate, violations

STRIKE = {"plate_x": 0.0, "plate_z": 2.5}
HOMER = {"launch_speed": 108.0, "launch_angle": 27.0}


def row(instance: InstanceType, **values: float) -> np.ndarray:
    return instance.matrix({name: np.array([value]) for name, value in values.items()}, 1)


@pytest.mark.parametrize(
    ("instance", "values"),
    [
        (PITCH, STRIKE),
        (PITCH, STRIKE | {"balls": 3, "strikes": 2, "sz_top": 3.4, "sz_bot": 1.6}),
        (PITCH, STRIKE | {"pitch_type": 99}),  # an unknown pitch type counts as absent
        (PITCH, {"plate_x": -5.38, "plate_z": -7.65}),
        (BATTED_BALL, HOMER),
        (BATTED_BALL, HOMER | {"hc_x": 125.0, "hc_y": 50.0}),
        (BATTED_BALL, HOMER | {"spray_angle": -12.0}),
    ],
)
def test_a_valid_instance_is_accepted(instance: InstanceType, values: dict[str, float]) -> None:
    matrix = row(instance, **values)
    validate(instance, matrix, path=instance.path, name_rows=False)
    assert valid_mask(instance, matrix).tolist() == [True]


@pytest.mark.parametrize(
    ("instance", "values", "expected"),
    [
        (PITCH, {"plate_x": 0.0}, {"pitch.plate_z": "is required: a number from -20 to 20 (ft)"}),
        (PITCH, STRIKE | {"plate_x": 21.0}, {"pitch.plate_x": "must be a number from -20 to 20 (ft), got 21"}),
        (PITCH, STRIKE | {"plate_x": np.inf}, {"pitch.plate_x": "must be a number from -20 to 20 (ft), got inf"}),
        (PITCH, STRIKE | {"balls": 4}, {"pitch.balls": "must be a whole number from 0 to 3, got 4"}),
        (PITCH, STRIKE | {"balls": 1.5}, {"pitch.balls": "must be a whole number from 0 to 3, got 1.5"}),
        (PITCH, STRIKE | {"sz_top": 1.5, "sz_bot": 3.5}, {"pitch.sz_top": "must be above sz_bot"}),
        (BATTED_BALL, HOMER | {"hc_x": 125.0}, {"batted_ball.hc_y": "is required together with hc_x"}),
        (
            BATTED_BALL,
            HOMER | {"hc_x": 125.0, "hc_y": 50.0, "spray_angle": 0.0},
            {"batted_ball.spray_angle": "give the direction once: spray_angle, or hc_x and hc_y"},
        ),
        (
            BATTED_BALL,
            {},
            {
                "batted_ball.launch_speed": "is required: a number from 0 to 130 (mph)",
                "batted_ball.launch_angle": "is required: a number from -90 to 90 (degrees)",
            },
        ),
    ],
)
def test_a_refusal_names_each_field_and_its_valid_range(
    instance: InstanceType, values: dict[str, float], expected: dict[str, str]
) -> None:
    matrix = row(instance, **values)
    with pytest.raises(InvalidInstanceError) as refused:
        validate(instance, matrix, path=instance.path, name_rows=False)
    assert {violation.field: violation.description for violation in refused.value.violations} == expected
    assert valid_mask(instance, matrix).tolist() == [False]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("instance", [PITCH, BATTED_BALL])
@settings(deadline=None, max_examples=50)
@given(data=st.data())
def test_exactly_the_invalid_rows_have_violations(instance: InstanceType, data: st.DataObject) -> None:
    cell = st.sampled_from([np.nan, 0.0, 1.0, 2.0, 2.5, 4.0, -1.0, 1e30, np.inf, -np.inf]).map(np.float32)
    matrix = data.draw(arrays(np.float32, (3, len(instance.fields)), elements=cell, fill=st.just(np.float32(1.0))))
    refused = [bool(violations(instance, matrix[i : i + 1], path="row", name_rows=False)) for i in range(len(matrix))]
    assert valid_mask(instance, matrix).tolist() == [not each for each in refused]


def test_a_refusal_of_many_rows_names_the_row() -> None:
    columns = {"plate_x": np.array([0.0, 30.0, 0.0]), "plate_z": np.array([2.0, 2.0, np.nan])}
    matrix = PITCH.matrix(columns, 3)
    with pytest.raises(InvalidInstanceError) as refused:
        validate(PITCH, matrix, path="pitches", name_rows=True)
    assert [violation.field for violation in refused.value.violations] == ["pitches.plate_x[1]", "pitches.plate_z[2]"]
    assert valid_mask(PITCH, matrix).tolist() == [True, False, False]


def test_a_repeated_violation_names_the_first_rows_and_counts_the_rest() -> None:
    matrix = PITCH.matrix({"plate_x": np.full(40, 99.0), "plate_z": np.full(40, 2.0)}, 40)
    with pytest.raises(InvalidInstanceError) as refused:
        validate(PITCH, matrix, path="pitches", name_rows=True)
    assert [violation.field for violation in refused.value.violations] == [
        *(f"pitches.plate_x[{row}]" for row in range(3)),
        "pitches.plate_x",
    ]
    assert refused.value.violations[-1].description == "is invalid in another 37 rows"


def test_the_message_lists_the_first_few_of_many_violations() -> None:
    error = InvalidInstanceError([Violation(f"field_{n}", "is wrong") for n in range(9)])
    assert str(error).endswith("field_4: is wrong; and 4 more")


def test_a_long_name_is_shortened_in_the_message() -> None:
    error = NotFoundError("alias", "x" * 5000, [f"name_{n}" for n in range(30)])
    assert (len(error.name), len(str(error)) < 400, str(error).endswith("name_19, and 10 more")) == (83, True, True)
