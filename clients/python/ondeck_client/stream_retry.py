"""What a stream knows of itself: which instances have no answer yet, and whether it is worth opening again.

Nothing here waits, sends or reads a clock; both clients act on it.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import grpc

from ondeck.v1.prediction_service_pb2 import StreamAnswer, StreamPredictRequest
from ondeck_client.channel import TRIES
from ondeck_client.errors import may_pass, retry_delay_of

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class StreamRetryPolicy:
    """How long a stream that breaks with UNAVAILABLE is opened again, and how much it keeps to ask again.

    Both limits are of troubles in a row: an answer ends them. A stream that has never had an answer is tried as often
    as any other call.
    """

    seconds: float = 60
    breaks: int = 50
    unanswered: int = 1024


class OutOfOrderError(Exception):
    """The server answered another instance than the oldest that was sent: what listens there is no Ondeck server."""


class IncompleteStreamError(grpc.RpcError):
    """The server ended a stream in good order, but instances of it were not answered."""


@dataclass(kw_only=True)
class PendingRequests:
    """The instances of a stream that have no answer, oldest first, and how many of them the open call has sent."""

    most: int
    ended: bool = False
    _waiting: deque[StreamPredictRequest] = field(default_factory=deque)
    _sent: int = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def room(self) -> bool:
        """Whether another instance may be asked now."""
        return len(self._waiting) < self.most and not self.ended

    @property
    def unsent(self) -> bool:
        """Whether the open call has something to send."""
        return self._sent < len(self._waiting)

    @property
    def done(self) -> bool:
        """Whether all has been asked and answered."""
        return self.ended and not self._waiting

    def ask(self, request: StreamPredictRequest) -> None:
        """Keep an instance until it is answered."""
        self._waiting.append(request)

    def send(self) -> StreamPredictRequest:
        """Take the oldest instance that the open call has not sent; it is kept, too."""
        self._sent += 1
        return self._waiting[self._sent - 1]

    def answered(self, answers: Sequence[StreamAnswer]) -> None:
        """Let go what has its answer.

        Raises:
            OutOfOrderError: an answer is not that of the oldest instance sent.
        """
        for answer in answers:
            if not self._sent or self._waiting[0].id != answer.id:
                raise OutOfOrderError(f"an answer to {answer.id!r} was not expected")
            self._waiting.popleft()
            self._sent -= 1

    def send_again(self) -> None:
        """Count on nothing that was sent: the call that sent it is over."""
        self._sent = 0


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Whether a stream was ever answered; how often it broke since its last answer, the first time at `since`."""

    answered: bool = False
    breaks: int = 0
    since: float = 0


GOING_WELL: Final = Progress(answered=True)


def broken_at(progress: Progress, now: float) -> Progress:
    """Count one more break; seconds of any clock."""
    return replace(progress, breaks=progress.breaks + 1, since=progress.since if progress.breaks else now)


def pause(
    progress: Progress, persistence: StreamRetryPolicy, now: float, told: float | None, spread: float
) -> float | None:
    """Tell how many seconds to wait before the stream is opened again; None: give up.

    `told` is what the server said, in seconds; without it pauses grow, and `spread`, from 0 to 1, keeps many streams
    from coming back at once.
    """
    growing = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(progress.breaks - 1, 10))
    waits = growing * (1 + spread) / 2 if told is None else told
    tries = persistence.breaks if progress.answered else min(persistence.breaks, TRIES - 1)
    patient = progress.breaks <= tries and now - progress.since + waits <= persistence.seconds
    return waits if patient else None


@dataclass(kw_only=True)
class StreamSession:
    """What a stream has to ask, and how it gets on."""

    persistence: StreamRetryPolicy
    unanswered: PendingRequests
    progress: Progress = field(default_factory=Progress)

    def heard(self, answers: Sequence[StreamAnswer]) -> bool:
        """Take note of answers; tell whether half of the room is free again, so that it pays to read on."""
        before = len(self.unanswered)
        self.unanswered.answered(answers)
        self.progress = GOING_WELL
        return len(self.unanswered) <= self.unanswered.most // 2 < before

    def pause_after(self, error: grpc.RpcError, now: float, spread: float) -> float:
        """Take note that the call is over; tell how many seconds to wait before the next one is opened.

        A call that ends while nothing is asked is no trouble: the next instance opens another.

        Raises:
            grpc.RpcError: the error itself: it is none that another try could mend, or there were too many.
        """
        if not isinstance(error, IncompleteStreamError) and not may_pass(error):
            raise error
        self.unanswered.send_again()
        if not self.unanswered:
            return 0
        self.progress = broken_at(self.progress, now)
        waits = pause(self.progress, self.persistence, now, retry_delay_of(error), spread)
        if waits is None:
            raise error
        return waits


def resuming(persistence: StreamRetryPolicy | None) -> StreamSession:
    """Begin a stream; None: persist as is usual."""
    chosen = persistence or StreamRetryPolicy()
    return StreamSession(persistence=chosen, unanswered=PendingRequests(most=chosen.unanswered))
