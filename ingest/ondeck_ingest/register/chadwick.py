"""The Chadwick register over the network, through pybaseball; what is kept is the archive that came over the wire."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import requests

from ondeck_core.errors import OndeckError
from ondeck_ingest.sources.recording_session import PATCHING, RecordingSession, in_words


class RegisterUnreachableError(OndeckError):
    """The register gave no answer."""


@dataclass(frozen=True, kw_only=True)
class ChadwickSource:
    """Where the register is, as a ZIP archive; `timeout` in seconds."""

    url: str
    timeout: float

    def fetch(self) -> bytes:
        """Fetch the archive as it came.

        Raises:
            RegisterUnreachableError: no answer, or none that is an archive.
        """
        session = RecordingSession(self.timeout)
        with _pybaseball_through(session, self.url) as chadwick_register:
            try:
                chadwick_register()
            except requests.RequestException as failed:
                raise RegisterUnreachableError(f"{self.url} {in_words(failed)}") from failed
            except Exception:
                # pybaseball could not read what came. The bytes are judged by our own reader, with a better text.
                if not session.bodies:
                    raise
        return session.bodies[0]


@contextmanager
def _pybaseball_through(session: RecordingSession, url: str) -> Iterator[Any]:
    """Have pybaseball ask through our session, at our address, whatever it may have saved before."""
    import pybaseball  # noqa: F401, PLC0415  takes a second, and only this source needs it

    wire: Any = sys.modules["pybaseball.playerid_lookup"]  # the package has a function of that name, too
    with PATCHING:
        before = wire.requests, wire.url, wire.get_register_file
        wire.requests, wire.url, wire.get_register_file = session, url, lambda: ""
        try:
            with redirect_stdout(io.StringIO()):
                yield wire.chadwick_register
        finally:
            wire.requests, wire.url, wire.get_register_file = before
