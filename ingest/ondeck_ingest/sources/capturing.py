"""What stands between pybaseball and the network: a deadline, a refusal of error pages, and the bytes as they came."""

import threading
from dataclasses import dataclass, field
from typing import Final

import requests

PATCHING: Final = threading.Lock()  # pybaseball's modules are changed while it asks: one at a time
OK: Final = 200


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
    """Stands where pybaseball has the `requests` module: adds the deadline it lacks and keeps the bodies."""

    timeout: float
    bodies: list[bytes] = field(default_factory=list)

    def get(self, url: str, **_: object) -> requests.Response:
        """Get an address; anything but 200 is an error, as is (to requests) a body that stops short."""
        response = requests.get(url, timeout=self.timeout)
        if response.status_code != OK:
            raise requests.HTTPError(f"status {response.status_code} {response.reason}")
        self.bodies.append(response.content)
        return response
