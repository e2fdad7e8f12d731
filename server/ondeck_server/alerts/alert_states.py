"""The state of each alert: pending, firing, resolved. Pure: a step of time in, the new states and notices out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from ondeck_server.alerts.promql_evaluation import Vector
from ondeck_server.alerts.rules import AlertRule
from ondeck_server.alerts.sample_history import Labels

PENDING: Final = "pending"
FIRING: Final = "firing"
RESOLVED: Final = "resolved"


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert; times in seconds since 1970. `seen_at` is the last time at which its expression had the series."""

    labels: Labels  # with `alertname`
    annotations: Mapping[str, str]
    state: Literal["pending", "firing", "resolved"]
    value: float
    began_at: float
    seen_at: float
    fired_at: float = 0.0
    resolved_at: float = 0.0

    @property
    def name(self) -> str:
        """Name of its rule."""
        return dict(self.labels)["alertname"]


AlertStates: TypeAlias = Mapping[Labels, Alert]


@dataclass(frozen=True, kw_only=True)
class AlertStep:
    """The states after a step, and the alerts that began to fire or were resolved in it."""

    states: AlertStates
    notices: Sequence[Alert]


def step(states: AlertStates, found: Iterable[tuple[AlertRule, Vector | None]], now: float) -> AlertStep:
    """Return the states after the rules had these results; an alert that is resolved is in the notices alone.

    Alerts of rules that are not among them are resolved. Those of a rule without a result, None, stay as they are.
    """
    after: dict[Labels, Alert] = {}
    kept_seconds: dict[str, float] = {}
    unknown: set[str] = set()
    for rule, vector in found:
        kept_seconds[rule.name] = rule.keep_seconds
        if vector is None:
            unknown.add(rule.name)
        for labels, value in (vector or {}).items():
            alert = _active(rule, labels, value, states, now)
            after[alert.labels] = alert
    ended = [alert for labels, alert in states.items() if labels not in after]
    for alert in ended:
        seen_at = min(alert.seen_at, now)  # the clock may have been set back
        is_kept = alert.state == FIRING and now - seen_at < kept_seconds.get(alert.name, 0.0)
        if is_kept or alert.name in unknown:
            after[alert.labels] = replace(alert, seen_at=seen_at)
    fired = [each for each in after.values() if each.state == FIRING and each.fired_at == now]
    resolved = [
        replace(each, state=RESOLVED, resolved_at=now)
        for each in ended
        if each.state == FIRING and each.labels not in after
    ]
    return AlertStep(states=after, notices=[*fired, *resolved])


def _active(rule: AlertRule, labels: Labels, value: float, states: AlertStates, now: float) -> Alert:
    """Return the alert of a series that the expression of its rule has now."""
    named = frozenset({**dict(labels), **rule.labels, "alertname": rule.name}.items())
    before = states.get(named)
    began_at = min(before.began_at, now) if before else now  # the clock may have been set back
    fired_at = before.fired_at if before and before.state == FIRING else 0.0
    is_firing = bool(fired_at) or now - began_at >= rule.hold_seconds
    return Alert(
        labels=named,
        annotations=rule.annotate(dict(named), value),
        state=FIRING if is_firing else PENDING,
        value=value,
        began_at=began_at,
        seen_at=now,
        fired_at=(fired_at or now) if is_firing else 0.0,
    )
