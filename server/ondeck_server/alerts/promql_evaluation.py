"""Evaluates PromQL over a `SampleHistory`, as https://prometheus.io/docs/prometheus/latest/querying defines it."""

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import promql_parser as promql

from ondeck_core.errors import OndeckError
from ondeck_server.alerts.promql_syntax import (
    AGGREGATIONS,
    ARITHMETIC,
    COMPARISONS,
    SETS,
    Tree,
    UnsupportedExpressionError,
    offset,
)
from ondeck_server.alerts.range_functions import RANGE_FUNCTIONS, SampleWindow
from ondeck_server.alerts.sample_history import Labels, SampleHistory

Vector: TypeAlias = dict[Labels, float]
Value: TypeAlias = Vector | float

_NO_LABELS: Final[Labels] = frozenset()


class AmbiguousMatchError(OndeckError):
    """An operator would combine one series with several, which Prometheus refuses, too."""


def evaluate(tree: Tree, history: SampleHistory, at: float) -> Value:
    """Return the value of an expression that `parse` returned, at a time in seconds since 1970."""
    match tree:
        case promql.NumberLiteral(val=number):
            value: Value = float(number)
        case promql.ParenExpr(expr=inner):
            value = evaluate(inner, history, at)
        case promql.UnaryExpr(expr=inner):
            value = _negated(evaluate(inner, history, at))
        case promql.VectorSelector():
            value = _instant(tree, history, at)
        case promql.Call():
            value = _call(tree, history, at)
        case promql.AggregateExpr():
            value = _aggregate(tree, as_vector(evaluate(tree.expr, history, at)))
        case promql.BinaryExpr():
            value = _binary(tree, evaluate(tree.lhs, history, at), evaluate(tree.rhs, history, at))
        case _:
            raise UnsupportedExpressionError(f"{tree} is not supported")
    return value


def as_vector(value: Value) -> Vector:
    """Return a value as a vector; a scalar has no labels."""
    return value if isinstance(value, dict) else {_NO_LABELS: value}


def _matches(selector: Tree, labels: Labels) -> bool:
    values = dict(labels)
    return all(_is_match(each, values.get(each.name, "")) for each in selector.matchers.matchers)


def _is_match(matcher: promql.Matcher, value: str) -> bool:
    match matcher.op:
        case promql.MatchOp.Equal:
            return value == matcher.value
        case promql.MatchOp.NotEqual:
            return value != matcher.value
        case promql.MatchOp.Re:
            return re.fullmatch(matcher.value, value) is not None
    return re.fullmatch(matcher.value, value) is None


def _instant(selector: Tree, history: SampleHistory, at: float) -> Vector:
    """Return the values of the last scrape; a series that was not in it has ended."""
    scrape = history.scrape_at(at - offset(selector))
    if scrape is None:
        return {}
    found = {
        labels: series.at(scrape)
        for labels, series in history.series_of(selector.name).items()
        if _matches(selector, labels)
    }
    return {labels: value for labels, value in found.items() if value is not None}


def _call(call: Tree, history: SampleHistory, at: float) -> Value:
    match call.func.name:
        case "time":
            return at
        case "vector":
            return as_vector(evaluate(call.args[0], history, at))
        case "absent":
            return {} if as_vector(evaluate(call.args[0], history, at)) else {_labels_of_absent(call.args[0]): 1.0}
        case name:
            return _over_time(name, call.args[-1], history, at)


def _labels_of_absent(tree: Tree) -> Labels:
    """Return the labels of the series that `absent` returns: those that its selector requires."""
    if not isinstance(tree, promql.VectorSelector):
        return _NO_LABELS
    matchers = tree.matchers.matchers
    names = [each.name for each in matchers]
    return frozenset(
        (each.name, each.value)
        for each in matchers
        if each.op == promql.MatchOp.Equal and each.value and names.count(each.name) == 1
    )


def _over_time(name: str, matrix: Tree, history: SampleHistory, at: float) -> Vector:
    selector, seconds = matrix.vector_selector, matrix.range.total_seconds()
    end, result = at - offset(selector), Vector()
    for labels, series in history.series_of(selector.name).items():
        if not _matches(selector, labels):
            continue
        times, values = series.between(end - seconds, end)
        if times and (value := RANGE_FUNCTIONS[name](SampleWindow(times, values, end - seconds, end))) is not None:
            result[labels] = value
    return result


def _aggregate(tree: Tree, vector: Vector) -> Vector:
    groups: dict[Labels, list[float]] = {}
    for labels, value in vector.items():
        groups.setdefault(_group(tree.modifier, labels), []).append(value)
    return {labels: float(AGGREGATIONS[str(tree.op)](values)) for labels, values in groups.items()}


def _group(modifier: Tree, labels: Labels) -> Labels:
    if modifier is None:
        return _NO_LABELS
    is_by = modifier.type == promql.AggModifierType.By
    return frozenset(each for each in labels if (each[0] in modifier.labels) == is_by)


def _binary(tree: Tree, left: Value, right: Value) -> Value:
    symbol, key = str(tree.op), _matching(tree.modifier)
    if symbol in SETS:
        return _set_operation(symbol, as_vector(left), as_vector(right), key)
    if not isinstance(left, dict) and not isinstance(right, dict):
        return ARITHMETIC[symbol](left, right) if symbol in ARITHMETIC else float(COMPARISONS[symbol](left, right))
    is_left = isinstance(left, dict)  # a comparison keeps the values of its vector, or of the left one
    is_filter = symbol in COMPARISONS and not (tree.modifier is not None and tree.modifier.return_bool)
    result = Vector()
    for labels, first, second in _pairs(left, right, key):
        if is_filter and not COMPARISONS[symbol](first, second):
            continue
        if labels in result:
            raise AmbiguousMatchError(f"several series on the left of {symbol} have the labels {dict(labels)}")
        if is_filter:
            result[labels] = first if is_left else second
        else:
            result[labels] = float((ARITHMETIC.get(symbol) or COMPARISONS[symbol])(first, second))
    return result


def _pairs(left: Value, right: Value, key: Callable[[Labels], Labels]) -> Iterator[tuple[Labels, float, float]]:
    """Yield the pairs of values that an operator combines: the labels that were matched, left value, right value."""
    if not isinstance(right, dict):
        yield from ((labels, value, right) for labels, value in as_vector(left).items())
        return
    if not isinstance(left, dict):
        yield from ((labels, left, value) for labels, value in right.items())
        return
    by_key: Vector = {}
    for labels, value in right.items():
        if key(labels) in by_key:
            raise AmbiguousMatchError(f"several series on the right have the labels {dict(key(labels))}")
        by_key[key(labels)] = value
    yield from ((key(labels), value, by_key[key(labels)]) for labels, value in left.items() if key(labels) in by_key)


def _matching(modifier: Tree) -> Callable[[Labels], Labels]:
    """Return the function from labels to those by which two vectors are matched."""
    matching = None if modifier is None else modifier.matching
    if matching is None:
        return lambda labels: labels
    is_on = matching.type == promql.LabelModifierType.Include
    names = frozenset(matching.labels)
    return lambda labels: frozenset(each for each in labels if (each[0] in names) == is_on)


def _set_operation(symbol: str, left: Vector, right: Vector, key: Callable[[Labels], Labels]) -> Vector:
    if symbol == "or":
        present = {key(labels) for labels in left}
        return {**left, **{labels: value for labels, value in right.items() if key(labels) not in present}}
    present = {key(labels) for labels in right}
    return {labels: value for labels, value in left.items() if (key(labels) in present) == (symbol == "and")}


def _negated(value: Value) -> Value:
    return {labels: -each for labels, each in value.items()} if isinstance(value, dict) else -value
