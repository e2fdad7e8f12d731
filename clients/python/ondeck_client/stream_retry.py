"""The state of a stream: which instances have no answer yet, and when to open another call.

It does not wait, send or read a clock; both clients drive it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import grpc

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest
from ondeck_client.channel_options import MAX_ATTEMPTS
from ondeck_client.correlation import attach_correlation_id
from ondeck_client.error_details import is_transient, is_unhealthy, retry_delay_of

_FIRST_PAUSE: Final = 0.1
_MAX_PAUSE: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class StreamRetryPolicy:
    """Limits of the retries of a stream that fails with UNAVAILABLE: seconds, number of failures, instances kept.

    `seconds` and `breaks` count consecutive failures: an answer resets them. A stream that has never had an answer is
    attempted as often as a unary call. `unanswered` is the number of instances that may have no answer.
    """

    seconds: float = 60
    breaks: int = 50
    unanswered: int = 1024


class OutOfOrderError(Exception):
    """An answer does not belong to the oldest instance that was sent: the peer is no Ondeck server."""


class IncompleteStreamError(grpc.RpcError):
    """The server ended a stream with OK, but did not answer every instance."""


@dataclass(kw_only=True)
class PendingRequests:
    """The requests of a stream without an answer, oldest first; the open call has sent the first `_sent` of them."""

    max_size: int
    ended: bool = False
    _requests: deque[StreamPredictRequest] = field(default_factory=deque)
    _sent: int = 0

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def has_room(self) -> bool:
        """Whether another request may be appended."""
        return len(self._requests) < self.max_size and not self.ended

    @property
    def has_unsent(self) -> bool:
        """Whether the open call has something to send."""
        return self._sent < len(self._requests)

    @property
    def is_done(self) -> bool:
        """Whether every request was read and answered."""
        return self.ended and not self._requests

    def append(self, request: StreamPredictRequest) -> None:
        """Keep a request until it is answered."""
        self._requests.append(request)

    def next_unsent(self) -> StreamPredictRequest:
        """Return the oldest request that the open call has not sent, and mark it as sent."""
        self._sent += 1
        return self._requests[self._sent - 1]

    def remove(self, answers: Sequence[StreamAnswer]) -> None:
        """Remove the requests that are answered.

        Raises:
            OutOfOrderError: an answer does not belong to the oldest request that was sent.
        """
        for answer in answers:
            if not self._sent or self._requests[0].id != answer.id:
                raise OutOfOrderError(f"an answer to {answer.id!r} was not expected")
            self._requests.popleft()
            self._sent -= 1

    def mark_unsent(self) -> None:
        """Mark all requests as not sent: the call that sent them has ended."""
        self._sent = 0


@dataclass(frozen=True, kw_only=True)
class Failures:
    """Whether a stream ever had an answer; the number of failures since the last one, the first at `since`."""

    answered: bool = False
    count: int = 0
    since: float = 0


NO_FAILURES: Final = Failures(answered=True)


def add_failure(failures: Failures, now: float) -> Failures:
    """Count one more failure at a time in seconds, of any clock."""
    return replace(failures, count=failures.count + 1, since=failures.since if failures.count else now)


def retry_pause(
    failures: Failures, policy: StreamRetryPolicy, now: float, pushback: float | None, jitter: float
) -> float | None:
    """Return the seconds to wait before the next call; None: do not retry.

    `pushback` is the delay that the server requests, in seconds; without it the delay grows exponentially, and
    `jitter`, from 0 to 1, spreads the retries of many streams.
    """
    backoff = min(_MAX_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures.count - 1, 10))
    pause = backoff * (1 + jitter) / 2 if pushback is None else pushback
    retries = policy.breaks if failures.answered else min(policy.breaks, MAX_ATTEMPTS - 1)
    within_limits = failures.count <= retries and now - failures.since + pause <= policy.seconds
    return pause if within_limits else None


@dataclass(kw_only=True)
class StreamSession:
    """The pending requests of a stream and its failures; `was_unhealthy`: no server was healthy since an answer.

    All calls of the stream have the correlation id, and so have their errors.
    """

    policy: StreamRetryPolicy
    pending: PendingRequests
    correlation_id: str = ""
    failures: Failures = field(default_factory=Failures)
    was_unhealthy: bool = False

    def on_answers(self, answers: Sequence[StreamAnswer]) -> bool:
        """Remove answered requests; return whether the queue has just become half empty, so that reading may resume."""
        before = len(self.pending)
        self.pending.remove(answers)
        self.failures, self.was_unhealthy = NO_FAILURES, False
        return len(self.pending) <= self.pending.max_size // 2 < before

    def on_failure(self, error: grpc.RpcError, now: float, jitter: float) -> float:
        """Return the seconds to wait before the next call.

        A call that ends while no request is pending is no failure: the next request opens another call at once.

        Raises:
            grpc.RpcError: the error itself, if it is not transient or the policy allows no further retry.
        """
        attach_correlation_id(error, self.correlation_id)
        if not isinstance(error, IncompleteStreamError) and not is_transient(error):
            raise error
        self.was_unhealthy |= is_unhealthy(error)
        self.pending.mark_unsent()
        if not self.pending:
            return 0
        self.failures = add_failure(self.failures, now)
        pause = retry_pause(self.failures, self.policy, now, retry_delay_of(error), jitter)
        if pause is None:
            raise error
        return pause


def new_session(policy: StreamRetryPolicy | None, correlation_id: str) -> StreamSession:
    """Return the state of a new stream; None: the default policy."""
    policy = policy or StreamRetryPolicy()
    return StreamSession(
        policy=policy, pending=PendingRequests(max_size=policy.unanswered), correlation_id=correlation_id
    )
