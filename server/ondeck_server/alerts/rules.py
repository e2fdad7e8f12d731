"""Reads alert rules in Prometheus' own format: https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import promql_parser as promql
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from ondeck_core.errors import OndeckError
from ondeck_server.alerts.promql_syntax import Tree, UnsupportedExpressionError, parse, ranges
from ondeck_server.alerts.sample_history import LOOKBACK_SECONDS

RULES_FILE: Final = Path(__file__).with_name("alert_rules.yml")
_MAX_DURATION: Final = 10**13  # seconds that a timedelta has room for
_TEMPLATE: Final = re.compile(r"\{\{\s*(?P<source>\$value|\$labels\.\w+)\s*(?:\|\s*(?P<form>\w+)\s*)?\}\}")


def _duration(seconds: float) -> str:
    """Return a time as `1h30m`; one that is no number, or infinite, as it is."""
    if not math.isfinite(seconds):
        return f"{seconds:g}"
    shown: str = promql.display_duration(timedelta(seconds=min(round(abs(seconds)), _MAX_DURATION)))
    return f"-{shown}" if seconds <= -1 else shown


_FORMS: Final[Mapping[str | None, Callable[[float], str]]] = {
    None: lambda value: f"{value:g}",
    "humanize": lambda value: f"{value:.4g}",
    "humanizePercentage": lambda value: f"{100 * value:.4g}%",
    "humanizeDuration": _duration,
}


class InvalidRulesError(OndeckError):
    """A file of rules cannot be read, or has a rule that is not evaluated here."""


@dataclass(frozen=True, kw_only=True)
class AlertRule:
    """One alert: it fires for each series of `tree` that lasts `hold_seconds`, and `keep_seconds` beyond the last."""

    name: str
    expression: str
    tree: Tree
    hold_seconds: float
    keep_seconds: float
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)

    def annotate(self, labels: Mapping[str, str], value: float) -> dict[str, str]:
        """Return the annotations of one alert with its labels and its value filled in."""
        return {name: _fill(text, labels, value) for name, text in self.annotations.items()}


@dataclass(frozen=True, kw_only=True)
class RecordingRule:
    """A metric that is computed from others in each round, before the alerts."""

    name: str
    tree: Tree
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RuleSet:
    """The rules of a file; `retention` maps each metric that they read to the seconds that they look back."""

    recordings: Sequence[RecordingRule]
    alerts: Sequence[AlertRule]

    @property
    def retention(self) -> dict[str, float]:
        """Seconds to keep of each metric."""
        seconds: dict[str, float] = {each.name: LOOKBACK_SECONDS for each in self.recordings}
        for tree in (*(each.tree for each in self.recordings), *(each.tree for each in self.alerts)):
            for name, span in ranges(tree):
                seconds[name] = max(seconds.get(name, 0.0), span)
        return seconds


def _seconds(duration: object) -> float:
    return promql.parse_duration(str(duration)).total_seconds()


_Duration = Annotated[float, BeforeValidator(_seconds)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Rule(_Strict):
    alert: str = ""
    record: str = ""
    expr: str
    hold: _Duration = Field(default=0.0, alias="for")
    keep_firing_for: _Duration = 0.0
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class _Group(_Strict):
    name: str
    interval: _Duration = 0.0
    rules: list[_Rule]


class _File(_Strict):
    groups: list[_Group]


def read_rules(path: Path = RULES_FILE) -> RuleSet:
    """Read a file of rules.

    Raises:
        InvalidRulesError: it cannot be read, is no file of rules, or has an expression or template that is not
            evaluated here; the text names the rule.
    """
    try:
        found = _File.model_validate(yaml.safe_load(path.read_text()))
        rules = [rule for group in found.groups for rule in group.rules]
        return RuleSet(
            recordings=[_recording(each) for each in rules if each.record],
            alerts=[_alert(each) for each in rules if each.alert],
        )
    except OSError as failed:
        raise InvalidRulesError(f"{path} cannot be read: {failed.strerror}") from failed
    except (yaml.YAMLError, ValueError) as invalid:  # a ValidationError, or no text in UTF-8
        raise InvalidRulesError(f"{path} is no file of Prometheus rules: {invalid}") from invalid


def _recording(rule: _Rule) -> RecordingRule:
    return RecordingRule(name=rule.record, tree=_tree(rule.record, rule.expr), labels=rule.labels)


def _alert(rule: _Rule) -> AlertRule:
    if any("{{" in text for text in rule.labels.values()):
        raise InvalidRulesError(f"{rule.alert}: templates in labels are not supported")
    for text in rule.annotations.values():
        if "{{" in _TEMPLATE.sub("", text) or any(form not in _FORMS for form in _forms(text)):
            raise InvalidRulesError(f"{rule.alert}: the template {text!r} is not supported")
    return AlertRule(
        name=rule.alert,
        expression=rule.expr,
        tree=_tree(rule.alert, rule.expr),
        hold_seconds=rule.hold,
        keep_seconds=rule.keep_firing_for,
        labels=rule.labels,
        annotations=rule.annotations,
    )


def _tree(name: str, expression: str) -> Tree:
    try:
        return parse(expression)
    except UnsupportedExpressionError as unsupported:
        raise InvalidRulesError(f"{name}: {unsupported}") from unsupported


def _forms(text: str) -> Iterator[str | None]:
    return (found["form"] for found in _TEMPLATE.finditer(text))


def _fill(text: str, labels: Mapping[str, str], value: float) -> str:
    def replacement(found: re.Match[str]) -> str:
        if found["source"] == "$value":
            return _FORMS[found["form"]](value)
        return labels.get(found["source"].removeprefix("$labels."), "")

    return _TEMPLATE.sub(replacement, text)
