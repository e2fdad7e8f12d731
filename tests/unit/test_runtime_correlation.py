"""Correlation ids: made, given, from a traceparent, and inherited by tasks."""

import asyncio

import pytest

from ondeck_runtime.correlation import correlated, current_correlation_id, make_correlation_id, trace_id_of

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("traceparent", "expected"),
    [
        (f"00-{TRACE_ID}-00f067aa0ba902b7-01", TRACE_ID),
        (f"cc-{TRACE_ID}-00f067aa0ba902b7-01-what-the-future-brings", TRACE_ID),
        (f"ff-{TRACE_ID}-00f067aa0ba902b7-01", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE_ID}-{'0' * 16}-01", ""),
        (f"00-{TRACE_ID.upper()}-00f067aa0ba902b7-01", ""),
        (f"00-{TRACE_ID}", ""),
        ("", ""),
    ],
)
def test_the_trace_id_of_a_valid_traceparent(traceparent: str, expected: str) -> None:
    assert trace_id_of(traceparent) == expected


def test_an_id_that_is_made_is_a_valid_trace_id() -> None:
    made = make_correlation_id()
    assert trace_id_of(f"00-{made}-00f067aa0ba902b7-01") == made


@pytest.mark.parametrize("given", ["", "x" * 129, "café", "two\nlines", " spaces "])
def test_an_id_that_is_missing_or_that_no_call_could_carry_is_replaced(given: str) -> None:
    with correlated(given) as run:
        assert len(run.correlation_id) == 32


async def test_tasks_inherit_the_id_and_the_outer_one_returns() -> None:
    async def read() -> str:
        return current_correlation_id()

    with correlated("outer"):
        with correlated("inner"):
            task = asyncio.create_task(read())
        assert await task == "inner"
        assert current_correlation_id() == "outer"
    assert current_correlation_id() == ""
