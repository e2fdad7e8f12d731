"""Run pybaseball over an HTTP session that has a deadline, rejects error pages and records the response bodies."""

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

from ondeck_ingest.sources.base import SourceUnreachableError

OK: Final = 200
_CHUNK_BYTES: Final = 1 << 16
_PATCH_LOCK: Final = threading.Lock()
Patch = tuple[Any, Mapping[str, object]]  # a module (or another object) and its new attributes by name
T = TypeVar("T")


@contextmanager
def patch_modules(*patches: Patch) -> Iterator[None]:
    """Replace attributes of modules inside the block; one thread at a time."""
    with _PATCH_LOCK:
        saved = [(module, {name: getattr(module, name) for name in values}) for module, values in patches]
        try:
            _set_attributes(patches)
            yield
        finally:
            _set_attributes(saved)


def _set_attributes(patches: Iterable[Patch]) -> None:
    for module, values in patches:
        for name, value in values.items():
            setattr(module, name, value)


@dataclass
class RecordingSession:
    """Replaces the `requests` module inside pybaseball: adds a deadline and records the response bodies.

    A response that is not complete within `timeout` seconds is a time-out, whether its header, its body or its
    compressed stream is slow.
    """

    timeout: float
    bodies: list[bytes] = field(default_factory=list)

    def get(self, url: str, **_: object) -> requests.Response:
        """Send a GET request; any status other than 200 and any truncated body is an error."""
        response, body = _run_within(self.timeout, partial(_get, url, self.timeout))
        self.bodies.append(body)
        response.raw = io.BytesIO(body)
        return response

    def run(self, url: str, call: Callable[[], object]) -> bytes | None:
        """Run a pybaseball call and return the first recorded body; None if pybaseball sent no request.

        Raises:
            SourceUnreachableError: the request failed; the text names `url` and the reason.
        """
        try:
            call()
        except requests.RequestException as failed:
            raise SourceUnreachableError(f"{url} {_describe(failed)}") from failed
        except Exception:
            # pybaseball failed to parse the body. Our parser reads it next and reports a better error.
            if not self.bodies:
                raise
        return self.bodies[0] if self.bodies else None


def _describe(failed: requests.RequestException) -> str:
    if isinstance(failed, requests.Timeout):
        return "did not answer in time"
    if isinstance(failed, requests.HTTPError):
        return f"answered with {failed}"
    if isinstance(failed, requests.exceptions.ChunkedEncodingError):
        return "broke off in the middle of its answer"
    return "cannot be reached"


def _run_within(seconds: float, work: Callable[[], T]) -> T:
    """Run blocking work in a daemon thread and wait at most so many seconds; a late thread is abandoned."""
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            outcome.set_result(work())
        except BaseException as failed:  # noqa: BLE001  raised again by outcome.result
            outcome.set_exception(failed)

    threading.Thread(target=run, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as late:
        raise requests.Timeout("the answer trickled in too slowly") from late


def _get(url: str, timeout: float) -> tuple[requests.Response, bytes]:
    deadline = time.monotonic() + timeout
    with requests.get(url, timeout=timeout, stream=True) as response:
        if response.status_code != OK:
            raise requests.HTTPError(f"status {response.status_code} {response.reason}")
        return response, _read_body(response, deadline)


def _read_body(response: requests.Response, deadline: float) -> bytes:
    parts = []
    try:
        while part := response.raw.read1(_CHUNK_BYTES, decode_content=True):
            parts.append(part)
            if time.monotonic() > deadline:
                raise requests.Timeout("the answer trickled in too slowly")
    except ReadTimeoutError as late:
        raise requests.Timeout(str(late)) from late
    except HTTPError as broken:
        raise requests.exceptions.ChunkedEncodingError(str(broken)) from broken
    return b"".join(parts)
