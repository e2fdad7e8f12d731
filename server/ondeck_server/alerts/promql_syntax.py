"""The part of PromQL that is evaluated here; `promql_parser` parses it.

An expression that needs more is refused when the rules are read, so that no rule is evaluated in another way than
Prometheus does.
"""

import math
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import promql_parser as promql

from ondeck_core.errors import OndeckError
from ondeck_server.alerts.range_functions import RANGE_FUNCTIONS
from ondeck_server.alerts.sample_history import LOOKBACK_SECONDS

Tree: TypeAlias = Any  # one of the classes of nodes of promql_parser

ARITHMETIC: Final[Mapping[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": lambda left, right: left / right if right else _quotient_by_zero(left),
}
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}
SETS: Final = ("and", "or", "unless")
AGGREGATIONS: Final[Mapping[str, Callable[[list[float]], float]]] = {
    "sum": sum,
    "min": min,
    "max": max,
    "count": len,
    "avg": lambda values: sum(values) / len(values),
}
FUNCTIONS: Final = ("absent", "time", "vector")


class UnsupportedExpressionError(OndeckError):
    """The expression is no PromQL, or uses a part of it that is not evaluated here."""


def parse(text: str) -> Tree:
    """Return the syntax tree of an expression.

    Raises:
        UnsupportedExpressionError: the expression is invalid or not supported.
    """
    try:
        tree = promql.parse(text)
    except ValueError as invalid:
        raise UnsupportedExpressionError(f"{text!r} is no PromQL: {invalid}") from None
    for node in _nodes(tree):
        if (problem := _unsupported(node)) is not None:
            raise UnsupportedExpressionError(f"{text!r}: {problem} is not supported")
    return tree


def ranges(tree: Tree) -> Iterator[tuple[str, float]]:
    """Yield the name of each metric that an expression reads, and for how many seconds back."""
    for node in _nodes(tree):
        match node:
            case promql.MatrixSelector(vector_selector=selector, range=span):
                yield str(selector.name), span.total_seconds() + offset(selector)
            case promql.VectorSelector():
                yield str(node.name), LOOKBACK_SECONDS + offset(node)


def offset(selector: Tree) -> float:
    """Return the offset of a selector in seconds."""
    return float(selector.offset.total_seconds()) if selector.offset is not None else 0.0


def _nodes(tree: Tree) -> Iterator[Tree]:
    yield tree
    match tree:
        case promql.ParenExpr() | promql.UnaryExpr() | promql.AggregateExpr():
            yield from _nodes(tree.expr)
        case promql.BinaryExpr():
            yield from _nodes(tree.lhs)
            yield from _nodes(tree.rhs)
        case promql.Call():
            for argument in tree.args:
                yield from _nodes(argument)


def _unsupported(node: Tree) -> str | None:
    """Return what of a node is not supported; None: it is."""
    problem: str | None = None
    match node:
        case promql.NumberLiteral() | promql.ParenExpr() | promql.UnaryExpr():
            pass
        case promql.VectorSelector():
            problem = _unsupported_selector(node)
        case promql.MatrixSelector():
            problem = _unsupported_selector(node.vector_selector)
        case promql.Call() if node.func.name not in (*FUNCTIONS, *RANGE_FUNCTIONS):
            problem = f"the function {node.func.name}"
        case promql.AggregateExpr() if str(node.op) not in AGGREGATIONS:
            problem = f"the aggregation {node.op}"
        case promql.BinaryExpr():
            problem = _unsupported_operation(node)
        case promql.Call() | promql.AggregateExpr():
            pass
        case _:
            problem = type(node).__name__
    return problem


def _unsupported_selector(selector: Tree) -> str | None:
    if selector.name is None or selector.at is not None or selector.matchers.or_matchers:
        return "a selector without a name, with @ or with or"
    patterns = [
        each.value for each in selector.matchers.matchers if each.op in (promql.MatchOp.Re, promql.MatchOp.NotRe)
    ]
    return next((f"the pattern {each!r}" for each in patterns if not _is_pattern(each)), None)


def _is_pattern(text: str) -> bool:
    """Return whether a pattern of RE2 is one of Python's, too; what has another meaning there is a warning."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(text)
    except (re.error, Warning):
        return False
    return True


def _unsupported_operation(node: Tree) -> str | None:
    if str(node.op) not in {*ARITHMETIC, *COMPARISONS, *SETS}:
        return f"the operator {node.op}"
    many = (promql.VectorMatchCardinality.ManyToOne, promql.VectorMatchCardinality.OneToMany)
    return "group_left or group_right" if node.modifier is not None and node.modifier.card in many else None


def _quotient_by_zero(dividend: float) -> float:
    return float("nan") if not dividend or math.isnan(dividend) else math.copysign(math.inf, dividend)
