"""Rounds of the alert rules: a clock that is set back, rules that fail, a disk that is full, and a webhook."""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest
import yaml
from structlog.testing import capture_logs

from ondeck_server.alerts.alert_monitor import ALERTS_FILE, AlertMonitor, AlertTarget
from ondeck_server.alerts.alert_states import Alert
from ondeck_server.alerts.alert_store import read_alerts
from ondeck_server.alerts.rules import InvalidRulesError, read_rules
from ondeck_server.alerts.webhook import WebhookSender
from tests.fixtures.webhook import WebhookReceiver

ROUND_SECONDS: Final = 15.0
HOT: Final = {"alert": "Hot", "expr": "level > 5", "for": "1m"}


class Rounds:
    """A monitor with a clock and a page of its own."""

    def __init__(self, home: Path, *rules: object, text: str = "level 3\n") -> None:
        file = home / "rules.yml"
        file.write_text(yaml.safe_dump({"groups": [{"name": "test", "rules": list(rules)}]}))
        self.now, self.text, self.path = 1e9, text, home / "state" / ALERTS_FILE
        target = AlertTarget(job="server", read=self._read)
        self.monitor = AlertMonitor(read_rules(file), [target], self.path, None, lambda: self.now)

    async def _read(self) -> str:
        return self.text

    def play(self, count: int) -> dict[str, str]:
        """Return the states of the alerts after so many rounds."""
        for _ in range(count):
            asyncio.run(self.monitor.evaluate())
            self.now += ROUND_SECONDS
        return {alert.name: alert.state for alert in self.monitor.states.values()}


def test_a_clock_that_is_set_back_hides_no_alert_and_makes_none(tmp_path: Path) -> None:
    kept = HOT | {"alert": "Kept", "expr": "level > 2 and level < 4", "keep_firing_for": "1m"}
    rounds = Rounds(tmp_path, HOT, kept, {"alert": "Gone", "expr": "absent(level)"})
    assert rounds.play(6) == {"Kept": "firing"}
    rounds.now -= 3600
    rounds.text = "level 6\n"
    assert rounds.play(2) == {"Hot": "pending", "Kept": "firing"}
    assert rounds.play(5) == {"Hot": "firing"}


def test_an_alert_that_was_pending_before_the_clock_was_set_back_fires(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, HOT, text="level 6\n")
    assert rounds.play(2) == {"Hot": "pending"}
    rounds.now -= 3600
    assert rounds.play(5) == {"Hot": "firing"}


def test_a_rule_that_fails_ends_no_other_and_keeps_its_alerts(tmp_path: Path) -> None:
    recorded = {"record": "sums", "expr": "many + on (place) many"}
    failing = {"alert": "Many", "expr": "level > on () many"}
    rounds = Rounds(tmp_path, recorded, failing, HOT, text='level 6\nmany{place="a"} 1\n')
    assert rounds.play(1) == {"Many": "firing", "Hot": "pending"}
    rounds.text = 'level 6\nmany{place="a"} 1\nmany{place="b"} 9\n'
    with capture_logs() as lines:
        assert rounds.play(5) == {"Many": "firing", "Hot": "firing"}
    assert [line["rule"] for line in lines if line["event"] == "rule_failed"] == ["Many"]
    rounds.text = 'level 6\nmany{place="a"} 9\n'
    assert rounds.play(1) == {"Hot": "firing"}


def test_alerts_are_written_once_the_disk_has_room_again(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path, HOT, text="level 6\n")
    rounds.path.parent.write_text("in the way of the folder")
    with capture_logs() as lines:
        rounds.play(7)
    assert [line["event"] for line in lines].count("alerts_not_written") == 1
    rounds.path.parent.unlink()
    rounds.play(1)
    assert [alert.state for alert in read_alerts(rounds.path).states.values()] == ["firing"]


@pytest.mark.parametrize(("value", "text"), [("level / 0", "inf"), ("0 - level", "-3s"), ("level * 1200", "1h")])
def test_a_duration_of_any_value_is_written(tmp_path: Path, value: str, text: str) -> None:
    rule = {"alert": "Old", "expr": f"{value} < 1 or {value} > 1"}
    rounds = Rounds(tmp_path, rule | {"annotations": {"summary": "{{ $value | humanizeDuration }}"}})
    rounds.play(1)
    assert [alert.annotations["summary"] for alert in rounds.monitor.states.values()] == [text]


@pytest.mark.parametrize("pattern", [r"\\pL+", r"a\\z", "[[:alpha:]]+"])
def test_a_pattern_that_has_another_meaning_here_is_refused(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(InvalidRulesError, match=r"Hot: .*the pattern"):
        Rounds(tmp_path, HOT | {"expr": f'level{{place=~"{pattern}"}} > 5'})


def test_a_template_in_a_label_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRulesError, match="Hot: templates in labels"):
        Rounds(tmp_path, HOT | {"labels": {"value": "{{ $value }}"}})


def test_a_repository_that_is_polled_seldom_is_not_stalled(tmp_path: Path) -> None:
    (stalled,) = (each for each in read_rules().alerts if each.name == "OndeckRepositoryStalled")
    rounds = Rounds(tmp_path, {"alert": "Stalled", "expr": stalled.expression, "for": "1m"})
    states = set[str]()
    for age in range(0, 420, int(ROUND_SECONDS)):
        rounds.text = f"ondeck_repository_poll_seconds 300\nondeck_repository_read_age_seconds {age}\n"
        states |= {f"{state} at {age}" for state in rounds.play(1).values() if age < 360 or state == "firing"}
    assert states == set()
    assert rounds.play(3) == {"Stalled": "firing"}


def send(receiver: WebhookReceiver, names: Sequence[str]) -> list[str]:
    """Send notices until the receiver has the last one; return the events of the log."""

    async def work() -> None:
        sent = asyncio.Event()

        def conclude() -> None:
            if not sender.waiting:
                sent.set()

        sender = WebhookSender(receiver.url, [notice(name) for name in names], conclude)
        task = asyncio.create_task(sender.run())
        await asyncio.wait_for(sent.wait(), 30)
        task.cancel()

    with capture_logs() as lines:
        asyncio.run(work())
    return [f"{line['event']} {line['alert']}" for line in lines]


def notice(name: str) -> Alert:
    labels = frozenset({("alertname", name)})
    return Alert(labels=labels, annotations={}, state="firing", value=1.0, began_at=1.0, seen_at=1.0, fired_at=1.0)


def test_a_notice_that_the_receiver_refuses_does_not_hold_up_the_next(webhook: WebhookReceiver) -> None:
    webhook.statuses = [HTTPStatus.BAD_REQUEST]
    assert send(webhook, ["Bad", "Good"]) == ["notice_refused Bad", "notice_sent Good"]
    assert webhook.states("Good") == ["firing"]


def test_a_redirect_is_no_receipt(webhook: WebhookReceiver) -> None:
    webhook.statuses = [HTTPStatus.FOUND]
    assert send(webhook, ["Moved"]) == ["notice_not_sent Moved", "notice_sent Moved"]
    assert webhook.states("Moved") == ["firing"]
