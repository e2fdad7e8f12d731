"""Explanations compared with brute force over every order of the fields, in plain Python."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from ondeck_core.explain.field_groups import (
    FieldGroup,
    group_fields,
    group_value,
    has_value,
    mask_unknown_codes,
    order_by_similarity,
)
from ondeck_core.explain.plan import AttributionResult, ExplanationPlan, ExplanationQuery, plan, row_budget
from ondeck_core.explain.shapley import ExactSubsets, PermutationSampler
from ondeck_core.instances import BATTED_BALL, INSTANCE_TYPES, PITCH, InstanceType, Matrix

Values = NDArray[np.float64]
Model = Callable[[Matrix], Matrix]

UNLIMITED = 100_000
FIELDS = 6
ALL_GROUPS = tuple(FieldGroup(name=f"field_{number}", columns=(number,)) for number in range(FIELDS))


def rows(count: int, seed: int, fields: int = FIELDS) -> Matrix:
    return np.random.default_rng(seed).normal(size=(count, fields)).astype(np.float32)


def two_outcomes(scores: NDArray[np.floating]) -> Matrix:
    """Return probabilities of two outcomes, the first with these logits."""
    first = (1 / (1 + np.exp(-scores))).astype(np.float32)
    return np.stack([first, 1 - first], axis=1)


def linear(instances: Matrix) -> Matrix:
    return np.stack([instances @ np.arange(1, 1 + instances.shape[1]), -instances[:, 0]], axis=1).astype(np.float32)


def interacting(instances: Matrix) -> Matrix:
    return two_outcomes(2 * instances[:, 0] * instances[:, 1] + instances[:, 2] * instances[:, 3] * instances[:, 4])


def random_network(instances: Matrix) -> Matrix:
    """A small random network in which all fields differ and interact."""
    draw = np.random.default_rng(99)
    hidden = np.tanh(np.nan_to_num(instances) @ draw.normal(size=(instances.shape[1], 8)))
    return two_outcomes(1.5 * hidden @ draw.normal(size=8))


MODELS = [linear, interacting, random_network]


def make_query(instance: Matrix, background: Matrix, groups: tuple[FieldGroup, ...] = ALL_GROUPS) -> ExplanationQuery:
    return ExplanationQuery(instance=instance, background=background, groups=groups, features=np.copy)


def explain(
    query: ExplanationQuery, model: Model, most_rows: int, seed: int = 1
) -> tuple[ExplanationPlan, AttributionResult]:
    planned = plan(query, most_rows, seed)
    return planned, planned.explain(model(planned.rows))


def explain_by_brute_force(query: ExplanationQuery, model: Model) -> Values:
    """Attribute each step of every order from every background row, one row at a time."""
    attributed, permutations = np.zeros((len(query.groups), model(query.instance).shape[1])), 0
    for start in query.background:
        for order in itertools.permutations(range(len(query.groups))):
            row, before = start.copy(), model(start[np.newaxis]).astype(np.float64)[0]
            for number in order:
                columns = list(query.groups[number].columns)
                row[columns] = query.instance[0, columns]
                after = model(row[np.newaxis]).astype(np.float64)[0]
                attributed[number] += after - before
                before = after
            permutations += 1
    return attributed / permutations


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("most_rows", [UNLIMITED, 200, 60, 30])
def test_contributions_add_up_to_the_difference(model: Model, most_rows: int) -> None:
    planned, explained = explain(make_query(rows(1, seed=1), rows(12, seed=2)), model, most_rows)
    difference = explained.probabilities - explained.base_rates
    np.testing.assert_allclose(explained.contributions.sum(axis=0), difference, atol=1e-12)
    np.testing.assert_array_equal(explained.probabilities, model(rows(1, seed=1)).astype(np.float64)[0])
    assert planned.is_exact == (most_rows == UNLIMITED)


@pytest.mark.parametrize("model", MODELS)
def test_with_enough_rows_contributions_equal_brute_force(model: Model) -> None:
    query = make_query(rows(1, seed=3), rows(3, seed=4))
    planned, explained = explain(query, model, UNLIMITED)
    assert planned.is_exact
    np.testing.assert_allclose(explained.contributions, explain_by_brute_force(query, model), atol=1e-6)
    assert not explained.standard_errors.any()


@pytest.mark.parametrize("model", [interacting, random_network])
def test_with_fewer_rows_contributions_are_within_the_standard_errors(model: Model) -> None:
    misses = []
    for seed in range(30):
        query = make_query(rows(1, seed=seed), rows(8, seed=seed + 100))
        planned, explained = explain(query, model, most_rows=150, seed=seed)
        assert not planned.is_exact
        exact = explain(query, model, UNLIMITED)[1].contributions
        misses += list(np.abs(explained.contributions - exact) / (explained.standard_errors + 1e-9))
    assert np.mean(np.array(misses) <= 2) >= 0.95
    assert np.mean(np.array(misses) <= 4) >= 0.999


def test_a_linear_model_is_explained_exactly_by_any_permutation() -> None:
    query = make_query(rows(1, seed=5), rows(10, seed=6))
    planned, explained = explain(query, linear, most_rows=50)
    weights = np.arange(1, 1 + FIELDS)
    expected = weights * (query.instance[0] - query.background[planned.estimator.starts].mean(axis=0))
    np.testing.assert_allclose(explained.contributions[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize("most_rows", [UNLIMITED, 200, 40])
def test_a_field_that_the_model_ignores_contributes_nothing(most_rows: int) -> None:
    explained = explain(make_query(rows(1, seed=7), rows(12, seed=8)), interacting, most_rows)[1]
    assert explained.contributions[5].tolist() == [0, 0]
    assert explained.standard_errors[5].tolist() == [0, 0]


def test_fields_with_equal_effects_contribute_equally() -> None:
    background, instance = rows(6, seed=9), rows(1, seed=10)
    background[:, 1], instance[:, 1] = background[:, 0], instance[:, 0]

    def symmetric(instances: Matrix) -> Matrix:
        return two_outcomes(instances[:, 0] * instances[:, 1] * instances[:, 2])

    contributions = explain(make_query(instance, background), symmetric, UNLIMITED)[1].contributions
    np.testing.assert_allclose(contributions[0], contributions[1], atol=1e-12)


def test_a_field_absent_everywhere_contributes_nothing() -> None:
    instance, background = rows(1, seed=11), rows(6, seed=12)
    instance[:, 3] = background[:, 3] = np.nan
    planned, explained = explain(make_query(instance, background), random_network, UNLIMITED)
    assert planned.active_groups.tolist() == [0, 1, 2, 4, 5]
    assert explained.contributions[3].tolist() == [0, 0]


def test_the_absence_of_a_field_can_contribute() -> None:
    instance, background = rows(1, seed=13), rows(6, seed=14)
    instance[:, 0] = np.nan
    assert explain(make_query(instance, background), random_network, UNLIMITED)[1].contributions[0].any()


@pytest.mark.parametrize("most_rows", [UNLIMITED, 200, 40])
def test_the_same_request_has_the_same_explanation(most_rows: int) -> None:
    query = make_query(rows(1, seed=15), rows(12, seed=16))
    once, again = (explain(query, random_network, most_rows)[1] for _ in range(2))
    np.testing.assert_array_equal(once.contributions, again.contributions)


def test_an_instance_equal_to_its_background_has_no_contributions() -> None:
    background = rows(1, seed=17)
    planned, explained = explain(make_query(background, np.repeat(background, 4, axis=0)), random_network, UNLIMITED)
    assert len(planned.rows) == 1
    assert not explained.contributions.any()
    np.testing.assert_array_equal(explained.probabilities, explained.base_rates)


@pytest.mark.parametrize("fields", [4, 12, 28])
@pytest.mark.parametrize("most_rows", [1500, 640, 300])
def test_evaluations_stay_within_the_budget_and_never_repeat(fields: int, most_rows: int) -> None:
    groups = tuple(FieldGroup(name=str(number), columns=(number,)) for number in range(fields))
    planned = plan(make_query(rows(1, 18, fields), rows(32, 19, fields), groups), most_rows)
    assert len(planned.rows) <= most_rows
    assert len(np.unique(planned.rows, axis=0)) == len(planned.rows)
    assert planned.is_exact == (fields == 4 and most_rows > 480)


def test_identical_rows_are_evaluated_once() -> None:
    query = ExplanationQuery(
        instance=rows(1, seed=20), background=rows(8, seed=21), groups=ALL_GROUPS, features=lambda r: r[:, :2].copy()
    )
    assert len(plan(query, UNLIMITED).rows) == 1 + 8 * 3


def test_every_background_row_starts_equally_many_permutations() -> None:
    planned = plan(make_query(rows(1, 22, 28), rows(24, 23, 28), numbered_groups(28)), 3000)
    assert isinstance(planned.estimator, PermutationSampler)
    assert set(np.bincount(planned.estimator.starts).tolist()) == {2 * (3000 // (1 + 24 + 2 * 24 * 27))}
    assert (planned.estimator.orders[::2] == planned.estimator.orders[1::2, ::-1]).all()
    assert planned.background_rows == 24


@pytest.mark.parametrize("background_rows", [2, 3, 25, 31])
def test_a_background_may_have_any_number_of_rows_from_two(background_rows: int) -> None:
    planned, explained = explain(
        make_query(rows(1, 26, 28), rows(background_rows, 27, 28), numbered_groups(28)), random_network, 1500
    )
    assert len(planned.rows) <= 1500
    assert background_rows - 1 <= planned.background_rows <= background_rows
    difference = explained.probabilities - explained.base_rates
    np.testing.assert_allclose(explained.contributions.sum(axis=0), difference, atol=1e-12)


def test_a_small_budget_uses_fewer_background_rows() -> None:
    query = make_query(rows(1, 24, 28), rows(24, 25, 28), numbered_groups(28))
    planned, explained = explain(query, random_network, most_rows=300)
    assert planned.background_rows == 10
    expected = random_network(query.background[planned.estimator.starts]).astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(explained.base_rates, expected, atol=1e-12)


def numbered_groups(count: int) -> tuple[FieldGroup, ...]:
    return tuple(FieldGroup(name=str(number), columns=(number,)) for number in range(count))


def test_similar_background_rows_are_adjacent() -> None:
    inputs = np.array([[0, 5], [9, np.nan], [0.1, 5], [4, 1], [9.1, np.nan], [4, 1]], dtype=np.float32)
    numbered = np.arange(6, dtype=np.float32)[:, np.newaxis]
    assert order_by_similarity(numbered, inputs).ravel().tolist() == [3, 5, 0, 2, 1, 4]


@pytest.mark.parametrize("count", [2, 5, 24])
def test_every_row_keeps_its_index_in_the_background(count: int) -> None:
    background = rows(count, seed=28)
    ordered = order_by_similarity(background, background)
    assert sorted(map(tuple, ordered.tolist())) == sorted(map(tuple, background.tolist()))


def test_subsets_start_empty_and_end_complete() -> None:
    replaced = ExactSubsets(starts=np.arange(1), groups=3).coalitions[0]
    assert (replaced[0].sum(), replaced[-1].sum(), len(replaced)) == (0, 3, 8)


def test_more_outcomes_make_a_row_cost_more() -> None:
    assert row_budget(2) > row_budget(5) > row_budget(9) >= 400


@pytest.mark.parametrize("instance", INSTANCE_TYPES, ids=lambda each: each.message)
def test_every_column_belongs_to_one_field_group(instance: InstanceType) -> None:
    groups = group_fields(instance)
    assert sorted(column for group in groups for column in group.columns) == list(range(len(instance.fields)))
    assert {group.name for group in groups} <= set(instance.names)


def test_the_spray_direction_is_one_field_group() -> None:
    by_angle, by_place = (
        BATTED_BALL.matrix({name: np.array([value]) for name, value in given.items()}, 1)
        for given in ({"spray_angle": 45.0}, {"hc_x": 175.42, "hc_y": 148.27})
    )
    group = next(each for each in group_fields(BATTED_BALL) if each.name == "spray_angle")
    assert [has_value(group, row).tolist() for row in (by_angle, by_place)] == [[True], [True]]
    assert group_value(group, BATTED_BALL, by_angle[0]) == 45
    assert group_value(group, BATTED_BALL, by_place[0]) == pytest.approx(45)
    assert group_value(group, BATTED_BALL, BATTED_BALL.matrix({}, 1)[0]) is None


@pytest.mark.parametrize("code", [0.0, 99.0, np.nan])
def test_an_unknown_code_is_absent(code: float) -> None:
    row = mask_unknown_codes(PITCH, PITCH.matrix({"stand": np.array([code]), "plate_x": np.array([0.0])}, 1))
    groups = {group.name: group for group in group_fields(PITCH)}
    assert group_value(groups["stand"], PITCH, row[0]) is None
    assert group_value(groups["plate_x"], PITCH, row[0]) == 0
    assert not has_value(groups["stand"], row)[0]
