"""Traces at the end of a program, while their endpoint does not answer."""

import socket
import time
from typing import Final

from ondeck_runtime.correlation import CorrelatedRun
from ondeck_runtime.tracing import ACTIVE, FLUSH_SECONDS, start_tracing, stop_tracing

SPANS: Final = 1600  # of four requests, each of which takes five seconds


def test_an_endpoint_that_does_not_answer_holds_up_no_exit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start_tracing(f"http://127.0.0.1:{silent.getsockname()[1]}", "server")
        for _ in range(SPANS):
            work = CorrelatedRun("one")
            ACTIVE[0].start_call(work, "/a.Service/Method", "")
            ACTIVE[0].end_call(work, "OK")
        begin = time.monotonic()
        stop_tracing()
        assert time.monotonic() - begin < 3 * FLUSH_SECONDS
    assert not ACTIVE
