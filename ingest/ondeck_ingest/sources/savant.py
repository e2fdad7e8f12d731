"""Baseball Savant as a source, one day per request through pybaseball; returns the bytes as they came."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from ondeck_core.errors import SourceRefusedError
from ondeck_ingest.sources.base import RawResponse, SourceRequest, SourceUnreachableError
from ondeck_ingest.sources.circuit_breaker import CircuitBreaker
from ondeck_ingest.sources.pybaseball_request import RequestRecorder, patch_modules, record_request, send

NAME: Final = "savant"
_LONGEST_PAUSE: Final = 30
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class SavantSource:
    """Fetches days from Savant; `timeout` (per request) and `longest_pause` (between attempts) are in seconds."""

    name: ClassVar[str] = NAME
    is_remote: ClassVar[bool] = True
    is_simulated: ClassVar[bool] = False

    url: str
    timeout: float
    attempts: int
    breaker: CircuitBreaker
    longest_pause: float = _LONGEST_PAUSE

    async def fetch(self, request: SourceRequest, read: Callable[[RawResponse], T]) -> T | None:
        """Fetch the CSV of a day and pass it to `read`; returns None for a day out of season (per pybaseball).

        Raises:
            SourceUnreachableError: no answer after all attempts; the text has the last reason.
            SourceRefusedError: `read` refused the answer of every attempt.
            CircuitOpenError: the circuit breaker is open; no request was sent.
        """
        if request.day is None:
            raise ValueError(f"Savant serves days, not {request.name}")
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((SourceUnreachableError, SourceRefusedError)),
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=0.5, max=self.longest_pause),
            reraise=True,
        )
        url = await asyncio.to_thread(day_url, self.url, request.day)
        return None if url is None else await retrying(self._attempt, url, request.day, read)

    async def _attempt(self, url: str, day: date, read: Callable[[RawResponse], T]) -> T:
        with self.breaker.guard():
            content = await send(url, self.timeout)
            raw = RawResponse(unit=day.isoformat(), content=content, fetched_at=datetime.now(UTC))
            return await asyncio.to_thread(read, raw)


def day_url(url: str, day: date) -> str | None:
    """Return the URL of a day below `url`, as pybaseball requests it; None for a day out of season."""
    with patched_statcast(RequestRecorder(), url) as statcast:
        call = partial(statcast, start_dt=day.isoformat(), end_dt=day.isoformat(), verbose=False, parallel=False)
        return record_request(call)


@contextmanager
def patched_statcast(session: object, url: str) -> Iterator[Any]:
    """Yield `pybaseball.statcast`, sending its requests to `url` over `session`, without cache or progress bar."""
    import pybaseball  # noqa: PLC0415  takes a second, and only the network source needs it
    import pybaseball.datasources.statcast as datasource  # noqa: PLC0415  the same

    statcast: Any = sys.modules["pybaseball.statcast"]  # the package has a function of that name, too
    with patch_modules(
        (datasource, {"requests": session, "ROOT_URL": url.rstrip("/")}),
        (statcast, {"tqdm": partial(statcast.tqdm, disable=True)}),
        (pybaseball.cache.config, {"enabled": False}),  # the cache would keep an incomplete day for a year
    ):
        yield pybaseball.statcast
