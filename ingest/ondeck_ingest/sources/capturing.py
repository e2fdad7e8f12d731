"""What stands between pybaseball and the network: a deadline, a refusal of error pages, and the bytes as they came."""

import io
import threading
import time
from dataclasses import dataclass, field
from typing import Final

import requests
from urllib3.exceptions import HTTPError, ReadTimeoutError

PATCHING: Final = threading.Lock()  # pybaseball's modules are changed while it asks: one at a time
OK: Final = 200
_AT_ONCE: Final = 1 << 16


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
class CapturingSession:
    """Stands where pybaseball has the `requests` module: adds the deadline it lacks and keeps the bodies.

    An answer that has not begun within `timeout` seconds, or is not whole by then, is a time-out. The clock is looked
    at whenever something arrives, so that a trickle ends, too.
    """

    timeout: float
    bodies: list[bytes] = field(default_factory=list)

    def get(self, url: str, **_: object) -> requests.Response:
        """Get an address; anything but 200 is an error, as is (to requests) a body that stops short."""
        until = time.monotonic() + self.timeout
        with requests.get(url, timeout=self.timeout, stream=True) as response:
            if response.status_code != OK:
                raise requests.HTTPError(f"status {response.status_code} {response.reason}")
            body = _body(response, until)
        self.bodies.append(body)
        response.raw = io.BytesIO(body)
        return response


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
