"""The quota of log lines about single calls."""

from ondeck_server.rpc.call_log import LineQuota


def test_a_second_has_a_limited_number_of_lines_and_the_next_one_states_how_many_were_left_out() -> None:
    now = 10.0
    quota = LineQuota(2, lambda: now)
    assert [quota.take() for _ in range(5)] == [0, 0, None, None, None]
    now = 11.5
    assert [quota.take() for _ in range(3)] == [3, 0, None]
    now = 12.0
    assert quota.take() == 1
