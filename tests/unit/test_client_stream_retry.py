"""Stream retries of the client: which requests are sent again, and when it stops; without clock or server."""

import math

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest
from ondeck_client import OutOfOrderError
from ondeck_client.stream_retry import (
    NO_FAILURES,
    Failures,
    PendingRequests,
    StreamRetryPolicy,
    StreamSession,
    add_failure,
    retry_pause,
)

POLICY = StreamRetryPolicy(seconds=60, breaks=50, unanswered=8)


def request(number: int) -> StreamPredictRequest:
    return StreamPredictRequest(id=str(number))


def answers(first: int, count: int) -> list[StreamAnswer]:
    return [StreamAnswer(id=str(number)) for number in range(first, first + count)]


STEPS = st.lists(st.sampled_from(["ask", "send", "answer", "break"]) | st.integers(2, 5), max_size=200)


@given(steps=STEPS, count=st.integers(0, 40), most=st.integers(1, 10))
def test_each_instance_is_answered_once_in_order_for_any_breaks(steps: list[str | int], count: int, most: int) -> None:
    pending = PendingRequests(max_size=most)
    requested = answered = 0
    at_server: list[str] = []
    for step in [*steps, "break", *["ask", "send", "answer"] * (2 * count)]:
        if step == "ask" and pending.has_room and requested < count:
            pending.append(request(requested))
            requested += 1
        elif step == "send" and pending.has_unsent:
            at_server.append(pending.next_unsent().id)
        elif step == "break":
            pending.mark_unsent()
            at_server.clear()
        elif step == "answer" or isinstance(step, int):
            several = at_server[: 1 if step == "answer" else int(step)]
            pending.remove([StreamAnswer(id=each) for each in several])
            assert several == [str(number) for number in range(answered, answered + len(several))]
            answered += len(several)
            del at_server[: len(several)]
        assert len(pending) == requested - answered <= most
    assert answered == requested == count


def test_unanswered_requests_are_sent_again_in_order() -> None:
    pending = PendingRequests(max_size=10)
    for number in range(4):
        pending.append(request(number))
    assert [pending.next_unsent().id for _ in range(3)] == ["0", "1", "2"]
    pending.remove(answers(0, 1))
    pending.mark_unsent()
    assert [pending.next_unsent().id for _ in range(3)] == ["1", "2", "3"]
    assert not pending.has_unsent


@pytest.mark.parametrize("wrong", ["1", "2", "unknown", ""])
def test_an_answer_out_of_order_is_an_error(wrong: str) -> None:
    pending = PendingRequests(max_size=10)
    for number in range(3):
        pending.append(request(number))
    pending.next_unsent()
    pending.next_unsent()
    with pytest.raises(OutOfOrderError, match="was not expected"):
        pending.remove([StreamAnswer(id=wrong)])


def test_a_second_answer_to_the_same_instance_is_an_error() -> None:
    pending = PendingRequests(max_size=10)
    pending.append(request(0))
    pending.append(request(0))
    pending.next_unsent()
    with pytest.raises(OutOfOrderError):
        pending.remove([*answers(0, 1), *answers(0, 1)])


def test_no_more_requests_are_sent_than_may_be_unanswered() -> None:
    pending = PendingRequests(max_size=1)
    pending.append(request(0))
    assert not pending.has_room
    pending.next_unsent()
    assert not pending.has_room
    pending.remove(answers(0, 1))
    assert pending.has_room


def pauses(failures: Failures, *, spread: float, every: float = 0) -> list[float]:
    """Return the pauses until the retries stop; each break comes `every` seconds after a pause."""
    found: list[float] = []
    now = 100.0
    while True:
        failures = add_failure(failures, now)
        waits = retry_pause(failures, POLICY, now, None, spread)
        if waits is None:
            return found
        found.append(waits)
        now += waits + every


def test_pauses_grow_to_two_seconds_within_the_time_limit() -> None:
    found = pauses(NO_FAILURES, spread=1)
    assert found[:7] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert 58 <= sum(found) <= 60


def test_many_streams_resume_at_different_times() -> None:
    assert pauses(NO_FAILURES, spread=0)[:4] == [0.05, 0.1, 0.2, 0.4]


def test_slow_breaks_are_limited_by_time_and_fast_ones_by_count() -> None:
    assert len(pauses(NO_FAILURES, spread=1, every=25)) == 3
    assert len(pauses(NO_FAILURES, spread=0)) == POLICY.breaks


def test_a_stream_without_any_answer_is_attempted_four_times() -> None:
    assert len(pauses(Failures(), spread=1)) == 3


@pytest.mark.parametrize(
    ("pushback", "expected"), [(0.0, 0.0), (7.5, 7.5), (60.0, 60.0), (60.1, None), (math.inf, None)]
)
def test_a_pushback_is_followed_unless_it_exceeds_the_time_limit(pushback: float, expected: float | None) -> None:
    assert retry_pause(add_failure(NO_FAILURES, 5), POLICY, 5, pushback, 0.5) == expected


@given(
    breaks=st.integers(1, 10_000),
    seconds=st.floats(0, 1e6),
    pushback=st.none() | st.floats(0, 1e6),
    spread=st.floats(0, 1),
)
def test_a_pause_never_ends_after_the_time_limit(
    breaks: int, seconds: float, pushback: float | None, spread: float
) -> None:
    waits = retry_pause(Failures(answered=True, count=breaks), POLICY, seconds, pushback, spread)
    assert waits is None or (waits >= 0 and seconds + waits <= POLICY.seconds and breaks <= POLICY.breaks)


def test_a_zero_time_limit_prevents_resuming() -> None:
    assert retry_pause(add_failure(NO_FAILURES, 5), StreamRetryPolicy(seconds=0), 5, None, 0.5) is None
    assert retry_pause(add_failure(NO_FAILURES, 5), StreamRetryPolicy(breaks=0), 5, None, 0.5) is None


def test_an_error_that_is_no_call_has_no_code_and_is_not_resumed() -> None:
    error = grpc.RpcError("no call")
    session = StreamSession(policy=POLICY, pending=PendingRequests(max_size=1))
    with pytest.raises(grpc.RpcError, match="no call"):
        session.on_failure(error, 0, 0)
