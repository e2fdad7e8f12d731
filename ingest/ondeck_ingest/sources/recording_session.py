"""What stands between pybaseball and the network: a deadline, a refusal of error pages, and the bytes as they came."""

import io
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

PATCHING: Final = threading.Lock()  # pybaseball's modules are changed while it asks: one at a time
OK: Final = 200
_AT_ONCE: Final = 1 << 16
T = TypeVar("T")


def in_words(failed: requests.RequestException) -> str:
    """Say what became of a request that failed, after the address that was asked."""
    if isinstance(failed, requests.Timeout):
        return "did not answer in time"
    if isinstance(failed, requests.HTTPError):
        return f"answered with {failed}"
    if isinstance(failed, requests.exceptions.ChunkedEncodingError):
        return "broke off in the middle of its answer"
    return "cannot be reached"


@dataclass
class RecordingSession:
    """Stands where pybaseball has the `requests` module: adds the deadline it lacks and keeps the bodies.

    An answer that is not whole within `timeout` seconds is a time-out, wherever it trickles: in its head, its body, or
    in compressed bytes of which none is one of the body.
    """

    timeout: float
    bodies: list[bytes] = field(default_factory=list)

    def get(self, url: str, **_: object) -> requests.Response:
        """Get an address; anything but 200 is an error, as is (to requests) a body that stops short."""
        response, body = _within(self.timeout, partial(_answer, url, self.timeout))
        self.bodies.append(body)
        response.raw = io.BytesIO(body)
        return response


def _within(seconds: float, work: Callable[[], T]) -> T:
    """Wait so long and no longer for what no clock of its own can end; left behind, it keeps no process alive."""
    outcome: Future[T] = Future()

    def do() -> None:
        try:
            outcome.set_result(work())
        except BaseException as failed:  # noqa: BLE001  raised again where the outcome is waited for
            outcome.set_exception(failed)

    threading.Thread(target=do, daemon=True).start()
    try:
        return outcome.result(seconds)
    except TimeoutError as late:
        raise requests.Timeout("the answer trickled in too slowly") from late


def _answer(url: str, timeout: float) -> tuple[requests.Response, bytes]:
    until = time.monotonic() + timeout
    with requests.get(url, timeout=timeout, stream=True) as response:
        if response.status_code != OK:
            raise requests.HTTPError(f"status {response.status_code} {response.reason}")
        return response, _body(response, until)


def _body(response: requests.Response, until: float) -> bytes:
    parts = []
    try:
        while part := response.raw.read1(_AT_ONCE, decode_content=True):
            parts.append(part)
            if time.monotonic() > until:
                raise requests.Timeout("the answer trickled in too slowly")
    except ReadTimeoutError as late:
        raise requests.Timeout(str(late)) from late
    except HTTPError as broken:
        raise requests.exceptions.ChunkedEncodingError(str(broken)) from broken
    return b"".join(parts)
