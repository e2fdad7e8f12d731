"""The rate limiter and the list of operators."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondeck_runtime.settings import InvalidSettingsError, read_settings
from ondeck_server.security import rate_limit
from ondeck_server.security.identity import caller_id
from ondeck_server.security.operators import CallerUnauthenticatedError, NotOperatorError, OperatorList
from ondeck_server.security.rate_limit import MAX_CALLERS, GcraLimiter, RateExceededError
from ondeck_server.settings import ServerSettings


@dataclass(frozen=True)
class Caller:
    peer: str = "ipv4:10.0.0.7:50512"
    identity: str = ""


class Clock:
    """A clock that tests set, in seconds."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_limiter(limit: float) -> tuple[GcraLimiter, Clock]:
    clock = Clock()
    return GcraLimiter(rows_per_second=limit, clock=clock), clock


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (Caller(), "ipv4:10.0.0.7"),
        (Caller("ipv6:%5B::1%5D:50512"), "ipv6:%5B::1%5D"),
        (Caller("unix:/run/ondeck.sock"), "unix:/run/ondeck.sock"),
        (Caller("unix:"), "unix:"),
        (Caller(identity="scout"), "scout"),
    ],
)
def test_a_caller_is_identified_by_certificate_or_address(caller: Caller, name: str) -> None:
    assert caller_id(caller) == name


def test_without_a_rate_limit_no_caller_is_refused() -> None:
    unlimited, _ = make_limiter(0)
    for _ in range(10):
        unlimited.consume(Caller(), 1_000_000)


def test_a_burst_is_limited_to_one_second_of_rows() -> None:
    limited, clock = make_limiter(10)
    for _ in range(11):
        limited.consume(Caller(), 1)
    with pytest.raises(RateExceededError) as refused:
        limited.consume(Caller(), 1)
    assert refused.value.wait_seconds == pytest.approx(0.1)
    clock.now = 0.11
    limited.consume(Caller(), 1)


def test_a_batch_of_any_size_is_accepted_and_delays_the_next() -> None:
    limited, clock = make_limiter(10)
    limited.consume(Caller(), 100)
    with pytest.raises(RateExceededError, match=r"10 rows a second; try again in 9\.00 s"):
        limited.consume(Caller(), 1)
    clock.now = 9
    limited.consume(Caller(), 1)


def test_callers_have_separate_limits() -> None:
    limited, _ = make_limiter(1)
    limited.consume(Caller(), 100)
    limited.consume(Caller(peer="ipv4:10.0.0.8:50512"), 1)
    with pytest.raises(RateExceededError):
        limited.consume(Caller(peer="ipv4:10.0.0.7:50999"), 1)


def test_the_callers_with_the_largest_debt_are_kept_when_there_are_too_many() -> None:
    limited, _ = make_limiter(1)
    limited.consume(Caller(identity="greedy"), 100)
    for number in range(MAX_CALLERS + 10):
        limited.consume(Caller(identity=str(number)), 1)
    with pytest.raises(RateExceededError):
        limited.consume(Caller(identity="greedy"), 1)
    assert len(limited._tats) <= MAX_CALLERS


@given(
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), min_size=1, max_size=60),
    st.floats(0.5, 100),
)
def test_accepted_rows_never_exceed_the_rate_by_more_than_one_call(calls: list[tuple[float, int]], rate: float) -> None:
    limited, clock = make_limiter(rate)
    taken = 0
    for pause, rows in calls:
        clock.now += pause
        try:
            limited.consume(Caller(), rows)
        except RateExceededError:
            continue
        taken += rows
        assert taken - rows <= (clock.now + rate_limit.BURST_SECONDS) * rate * (1 + 1e-9)


def test_without_named_operators_every_caller_is_one() -> None:
    OperatorList(()).authorize(Caller())


def test_operators_pass_and_others_are_refused_with_advice() -> None:
    operators = OperatorList(["deploy"])
    operators.authorize(Caller(identity="deploy"))
    with pytest.raises(NotOperatorError, match=r"'scout' is not an operator; .*ONDECK_OPERATORS"):
        operators.authorize(Caller(identity="scout"))
    with pytest.raises(CallerUnauthenticatedError, match="client certificate"):
        operators.authorize(Caller())


@pytest.mark.parametrize(
    ("text", "identities"),
    [
        ("deploy", ("deploy",)),
        (" deploy , release,", ("deploy", "release")),
        ('["Acme, Inc", "deploy"]', ("Acme, Inc", "deploy")),
        (' ["CN=a,O=b"]', ("CN=a,O=b",)),
    ],
)
def test_the_operators_are_a_list_of_names_or_json(text: str, identities: tuple[str, ...]) -> None:
    assert read_settings(ServerSettings, operators=text).operators == identities


@pytest.mark.parametrize("text", ["[]", ",", "[1]", '["a"', '[""]'])
def test_an_invalid_list_of_operators_is_refused(text: str) -> None:
    with pytest.raises(InvalidSettingsError, match="ONDECK_OPERATORS="):
        read_settings(ServerSettings, operators=text)
