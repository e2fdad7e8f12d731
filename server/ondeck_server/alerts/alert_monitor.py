"""Evaluates the rules at regular intervals over the metrics of this machine, and keeps and sends what they find."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import structlog
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from ondeck_server.alerts.alert_states import FIRING, Alert, step
from ondeck_server.alerts.alert_store import StoredAlerts, as_json, read_alerts, write_alerts
from ondeck_server.alerts.promql_evaluation import Vector, as_vector, evaluate
from ondeck_server.alerts.rules import RULES_FILE, AlertRule, RecordingRule, RuleSet, read_rules
from ondeck_server.alerts.sample_history import MetricSample, SampleHistory
from ondeck_server.alerts.webhook import WebhookSender
from ondeck_server.settings import ServerSettings

START_SECONDS: Final = 60.0  # after which a server that has not started is evaluated all the same
ALERTS_FILE: Final = "alerts.json"
PAST_ALERTS: Final = 200  # that are kept after they were resolved
_SERVER: Final = "server"  # job of the server itself
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)  # of reading the metrics of another program

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class AlertTarget:
    """A program whose page of metrics is read; `read` raises OSError if it cannot be reached."""

    job: str
    read: Callable[[], Awaitable[str]]


class AlertMonitor:
    """The alerts of one server; `path` is the file that keeps them over restarts."""

    def __init__(
        self,
        rules: RuleSet,
        targets: Sequence[AlertTarget],
        path: Path,
        webhook: str | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        stored = read_alerts(path)
        self._rules = rules
        self._targets = targets
        self._path = path
        self._clock = clock
        self._history = SampleHistory(rules.retention)
        self._sender = WebhookSender(webhook, stored.waiting, self._keep) if webhook else None
        self._written = stored
        self._is_unwritten = False
        self._failed: set[str] = set()  # rules whose last evaluation failed
        self.states = stored.states
        self.past = deque(stored.past, PAST_ALERTS)

    async def run(self, interval: float, started: asyncio.Event) -> None:
        """Evaluate the rules each `interval` seconds, and send notices, until cancelled.

        They are evaluated from the time at which the server has started: before that nothing is loaded, which would
        resolve alerts of the server before a restart. A server that does not start is not waited for.
        """
        with suppress(TimeoutError):
            await asyncio.wait_for(started.wait(), START_SECONDS)
        async with asyncio.TaskGroup() as tasks:
            if self._sender is not None:
                tasks.create_task(self._sender.run())
            while True:
                try:
                    await self.evaluate()
                except Exception:  # the next evaluation may succeed, and alerts end no server
                    log.exception("alerts_failed")
                await asyncio.sleep(interval)

    def routes(self) -> list[web.RouteDef]:
        """Return the admin page /alerts: active and past alerts, the newest first, and the names of the rules."""
        return [web.get("/alerts", self._page)]

    async def _page(self, _: web.Request) -> web.Response:
        active = sorted(self.states.values(), key=lambda each: each.began_at, reverse=True)
        content = {
            "active": [as_json(each) for each in active],
            "past": [as_json(each) for each in reversed(self.past)],
            "rules": [rule.name for rule in self._rules.alerts],
        }
        return web.json_response(content)

    async def evaluate(self) -> None:
        """Read the metrics once and update the alerts."""
        now = self._clock()
        self._history.record(now, [sample for target in self._targets for sample in await _samples(target)])
        for recording in self._rules.recordings:
            for labels, value in (self._found(recording, now) or {}).items():
                named = frozenset({**dict(labels), **recording.labels}.items())
                self._history.append(MetricSample(name=recording.name, labels=named, value=value))
        after = step(self.states, [(rule, self._found(rule, now)) for rule in self._rules.alerts], now)
        self.states = after.states
        self._announce(after.notices)
        self._keep()

    def _found(self, rule: AlertRule | RecordingRule, now: float) -> Vector | None:
        """Return the result of a rule; None: its evaluation failed, which is logged once and ends no other rule."""
        try:
            vector = as_vector(evaluate(rule.tree, self._history, now))
        except Exception as failed:  # noqa: BLE001  of any expression, over values of any program
            if rule.name not in self._failed:
                log.warning("rule_failed", rule=rule.name, reason=f"{type(failed).__name__}: {failed}")
            self._failed.add(rule.name)
            return None
        self._failed.discard(rule.name)
        return vector

    def _announce(self, notices: Sequence[Alert]) -> None:
        for alert in notices:
            labels = {name: value for name, value in sorted(alert.labels) if name != "alertname"}
            if alert.state == FIRING:
                log.warning("alert_fired", alert=alert.name, labels=labels, value=alert.value)
            else:
                log.info("alert_resolved", alert=alert.name, labels=labels)
                self.past.append(alert)
        if self._sender is not None:
            self._sender.add(notices)

    def _keep(self) -> None:
        waiting = tuple(self._sender.waiting) if self._sender else ()
        stored = StoredAlerts(states=self.states, waiting=waiting, past=tuple(self.past))
        if _kept(stored) == _kept(self._written):
            return
        try:
            write_alerts(self._path, stored)
        except OSError as failed:  # it is tried again after the next evaluation; the alerts go on without the file
            if not self._is_unwritten:
                log.warning("alerts_not_written", path=str(self._path), reason=failed.strerror)
            self._is_unwritten = True
            return
        self._written, self._is_unwritten = stored, False


async def _samples(target: AlertTarget) -> list[MetricSample]:
    """Return the samples of one program with its job, and `up`: 1 if it could be read."""
    job = ("job", target.job)
    try:
        metrics = list(text_string_to_metric_families(await target.read()))
    except (OSError, TimeoutError, ValueError):
        return [MetricSample(name="up", labels=frozenset({job}), value=0.0)]
    samples = [
        MetricSample(name=each.name, labels=frozenset({*each.labels.items(), job}), value=float(each.value))
        for metric in metrics
        for each in metric.samples
        if not each.name.endswith("_created")
    ]
    return [*samples, MetricSample(name="up", labels=frozenset({job}), value=1.0)]


def _kept(stored: StoredAlerts) -> object:
    """Return what of the alerts is worth a write: not the time at which they were last seen."""
    active = {labels: (alert.state, alert.began_at) for labels, alert in stored.states.items()}
    return active, tuple(stored.waiting), tuple(stored.past)


def create_alert_monitor(settings: ServerSettings, page: Callable[[], bytes]) -> AlertMonitor | None:
    """Return the monitor of a server, given its own page of metrics; None: the settings turn it off.

    Raises:
        InvalidRulesError: the file of rules is invalid.
    """
    if not settings.alert_interval_seconds:
        return None
    targets = [AlertTarget(job=_SERVER, read=_own_page(page))]
    for each in settings.alert_targets:
        job, _, url = each.partition("=")
        targets.append(AlertTarget(job=job, read=_page_reader(url)))
    rules = read_rules(settings.alert_rules or RULES_FILE)
    return AlertMonitor(rules, targets, settings.home / ALERTS_FILE, settings.alert_webhook_url)


def _own_page(page: Callable[[], bytes]) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        return page().decode()

    return read


def _page_reader(url: str) -> Callable[[], Awaitable[str]]:
    """Return a function that reads a page of metrics; it raises OSError if it cannot."""

    async def read() -> str:
        try:
            async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as response:
                response.raise_for_status()
                return await response.text()
        except aiohttp.ClientError as failed:
            raise OSError(str(failed)) from failed

    return read
