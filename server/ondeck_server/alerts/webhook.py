"""Sends notices to a webhook, in the format of Alertmanager: each of them once, until it has been taken."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import structlog

from ondeck_runtime.backoff import backoff_seconds
from ondeck_runtime.redaction import redact
from ondeck_server.alerts.alert_states import FIRING, Alert

MAX_WAITING: Final = 1000  # notices; beyond them the oldest is dropped
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_FIRST_PAUSE: Final = 1.0
_LONGEST_PAUSE: Final = 60.0
_OK: Final = range(200, 300)
_REFUSED: Final = (400, 413, 422)  # statuses by which a receiver refuses a notice itself, however often it is sent
_NEVER: Final = "0001-01-01T00:00:00Z"  # as Alertmanager writes the end of an alert that fires

log = structlog.get_logger()


def payload(alert: Alert) -> dict[str, Any]:
    """Return the message for one alert: version 4 of Alertmanager's webhook format, a group of its own."""
    status = "firing" if alert.state == FIRING else "resolved"
    labels = dict(sorted(alert.labels))
    fingerprint = hashlib.sha256(repr(sorted(alert.labels)).encode()).hexdigest()[:16]
    return {
        "version": "4",
        "groupKey": f"{{}}:{{fingerprint={fingerprint!r}}}",
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "webhook",
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": dict(alert.annotations),
        "externalURL": "",
        "alerts": [
            {
                "status": status,
                "labels": labels,
                "annotations": dict(alert.annotations),
                "startsAt": _timestamp(alert.fired_at),
                "endsAt": _timestamp(alert.resolved_at) if alert.resolved_at else _NEVER,
                "generatorURL": "",
                "fingerprint": fingerprint,
            }
        ],
    }


class WebhookSender:
    """Sends notices in their order; one that is not taken is sent again, with growing pauses.

    One that the receiver refuses for its content is logged and dropped: it would hold up all others. `on_sent` is
    called after each.
    """

    def __init__(self, url: str, waiting: Sequence[Alert], on_sent: Callable[[], None]) -> None:
        self._url = url
        self._on_sent = on_sent
        self.waiting: deque[Alert] = deque(waiting, MAX_WAITING)
        self._added = asyncio.Event()

    def add(self, notices: Sequence[Alert]) -> None:
        """Add notices to be sent."""
        self.waiting.extend(notices)
        self._added.set()

    async def run(self) -> None:
        """Send notices until cancelled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            failures = 0
            while True:
                while not self.waiting:
                    self._added.clear()
                    await self._added.wait()
                notice = self.waiting[0]
                failures = 0 if await self._send(session, notice, failures) else failures + 1
                if not failures and self.waiting and self.waiting[0] is notice:
                    self.waiting.popleft()
                    self._on_sent()
                await asyncio.sleep(backoff_seconds(failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE))

    async def _send(self, session: aiohttp.ClientSession, notice: Alert, failures: int) -> bool:
        """Return whether a notice is done with; a redirect would make a GET without the notice of it."""
        try:
            async with session.post(self._url, json=payload(notice), allow_redirects=False) as response:
                if response.status in _OK:
                    log.info("notice_sent", alert=notice.name, state=notice.state)
                    return True
                if response.status in _REFUSED:
                    log.error("notice_refused", alert=notice.name, state=notice.state, status=response.status)
                    return True
                reason = f"status {response.status}"
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as failed:
            reason = str(failed).replace(self._url, "the URL") or type(failed).__name__  # it may be a secret
        if not failures:  # once for each series of failures
            log.warning("notice_not_sent", detail="it is sent again", alert=notice.name, reason=redact(reason))
        return False


def _timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
