"""Alerts over time: pending, firing once, resolved once, kept for a while, over a restart."""

from pathlib import Path
from typing import Final

import pytest
import yaml

from ondeck_server.alerts.alert_states import AlertStates, step
from ondeck_server.alerts.alert_store import StoredAlerts, read_alerts, write_alerts
from ondeck_server.alerts.rules import AlertRule, InvalidRulesError, read_rules

RULE: Final = {
    "alert": "TooHot",
    "expr": "level > 5",
    "for": "30s",
    "labels": {"severity": "page"},
    "annotations": {"summary": "{{ $labels.place }} is at {{ $value | humanizePercentage }}"},
}
ROOM: Final = frozenset({("place", "room")})
HALL: Final = frozenset({("place", "hall")})


def rules_file(folder: Path, *rules: object) -> Path:
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "test", "rules": list(rules)}]}))
    return file


def rule(folder: Path, **changed: object) -> AlertRule:
    (read,) = read_rules(rules_file(folder, RULE | changed)).alerts
    return read


def play(made: AlertRule, *rounds: dict[frozenset[tuple[str, str]], float]) -> list[tuple[int, str, str]]:
    """Return the notices of rounds of ten seconds, each with its round."""
    states: AlertStates = {}
    notices: list[tuple[int, str, str]] = []
    for number, vector in enumerate(rounds):
        after = step(states, [(made, vector)], 10.0 * number)
        states = after.states
        notices += [(number, dict(each.labels)["place"], each.state) for each in after.notices]
    return notices


def test_an_alert_fires_once_after_its_time_and_is_resolved_once(tmp_path: Path) -> None:
    notices = play(rule(tmp_path), {}, *[{ROOM: 6.0, HALL: 9.0}] * 6, {HALL: 9.0}, {}, {})
    assert notices == [(4, "room", "firing"), (4, "hall", "firing"), (7, "room", "resolved"), (8, "hall", "resolved")]


def test_an_alert_that_ends_before_its_time_never_fires(tmp_path: Path) -> None:
    assert play(rule(tmp_path), *[{ROOM: 6.0}] * 3, {}, *[{ROOM: 6.0}] * 3, {}) == []


def test_an_alert_without_a_time_fires_at_once(tmp_path: Path) -> None:
    at_once = {name: value for name, value in RULE.items() if name != "for"}
    (made,) = read_rules(rules_file(tmp_path, at_once)).alerts
    assert play(made, {ROOM: 6.0}, {}) == [(0, "room", "firing"), (1, "room", "resolved")]


def test_an_alert_that_flaps_is_one_incident_while_it_is_kept(tmp_path: Path) -> None:
    flaps = [{ROOM: 6.0}] * 4 + [{}, {ROOM: 6.0}, {}, {}] + [{ROOM: 6.0}] + [{}] * 4
    assert play(rule(tmp_path, keep_firing_for="30s"), *flaps) == [(3, "room", "firing"), (11, "room", "resolved")]


def test_annotations_are_filled_in(tmp_path: Path) -> None:
    (alert,) = step({}, [(rule(tmp_path), {ROOM: 0.123456})], 0.0).states.values()
    assert alert.annotations == {"summary": "room is at 12.35%"}
    assert dict(alert.labels) == {"alertname": "TooHot", "severity": "page", "place": "room"}


def test_an_alert_whose_rule_is_gone_is_resolved(tmp_path: Path) -> None:
    states = step({}, [(rule(tmp_path), {ROOM: 6.0})], 0.0).states
    firing = step(states, [(rule(tmp_path), {ROOM: 6.0})], 30.0).states
    (notice,) = step(firing, [], 40.0).notices
    assert (notice.state, notice.resolved_at) == ("resolved", 40.0)


def test_a_restart_keeps_what_fires(tmp_path: Path) -> None:
    made = rule(tmp_path)
    states = step(step({}, [(made, {ROOM: 6.0})], 0.0).states, [(made, {ROOM: 6.0})], 30.0)
    write_alerts(tmp_path / "home" / "alerts.json", StoredAlerts(states=states.states, waiting=states.notices))
    read = read_alerts(tmp_path / "home" / "alerts.json")
    assert (read.states, list(read.waiting)) == (states.states, list(states.notices))
    assert step(read.states, [(made, {ROOM: 6.0})], 40.0).notices == []


@pytest.mark.parametrize("content", ["", "{", "[]", '{"active": [{"labels": {}}], "waiting": [], "past": []}'])
def test_a_broken_file_of_alerts_is_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "alerts.json").write_text(content)
    assert read_alerts(tmp_path / "alerts.json").states == {}


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"expr": "topk(3, level)"}, "TooHot: 'topk.*not supported"),
        ({"annotations": {"summary": "{{ query `up` }}"}}, "TooHot: the template"),
        ({"annotations": {"summary": "{{ $value | toUpper }}"}}, "TooHot: the template"),
        ({"for": "soon"}, "no file of Prometheus rules"),
        ({"severity": "page"}, "no file of Prometheus rules"),
    ],
)
def test_a_rule_that_is_not_evaluated_here_is_refused_by_name(
    tmp_path: Path, changed: dict[str, object], problem: str
) -> None:
    with pytest.raises(InvalidRulesError, match=problem):
        rule(tmp_path, **changed)


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRulesError, match=r"nothing\.yml cannot be read"):
        read_rules(tmp_path / "nothing.yml")
