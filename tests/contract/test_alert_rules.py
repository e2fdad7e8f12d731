"""The alert rules: each has a severity, a runbook of four sections and a test that makes it fire."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from ondeck_server.alerts.rules import RULES_FILE, AlertRule, read_rules

ROOT: Final = Path(__file__).parents[2]
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
PROMTOOL_TESTS: Final = ROOT / "monitoring" / "alerts_test.yml"
SECTIONS: Final = ["Meaning", "Impact", "Diagnosis", "Mitigation"]
RULES: Final = read_rules()
METRIC: Final = re.compile(r"\b(?:grpc_server|ondeck)_\w+")
HISTOGRAM_SUFFIX: Final = re.compile(r"_(?:bucket|count|sum)$")

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian: prometheus)"
)


@pytest.mark.parametrize("rule", RULES.alerts, ids=lambda rule: rule.name)
def test_an_alert_has_a_severity_a_summary_and_a_runbook(rule: AlertRule) -> None:
    assert rule.labels["severity"] in {"page", "ticket", "info"}
    assert rule.annotations["summary"]
    assert rule.annotations["runbook"] == f"docs/runbooks/{rule.name}.md"
    page = (ROOT / rule.annotations["runbook"]).read_text()
    assert page.startswith(f"# {rule.name}\n")
    assert [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")] == SECTIONS


def test_every_runbook_is_that_of_an_alert() -> None:
    pages = {page.stem for page in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == {rule.name for rule in RULES.alerts}


def test_names_are_unique() -> None:
    names = [*(rule.name for rule in RULES.alerts), *(rule.name for rule in RULES.recordings)]
    assert len(names) == len({*names})


def undocumented(metrics: set[str]) -> set[str]:
    documented = (ROOT / "docs" / "reference" / "observability.md").read_text()
    return {name for name in metrics if HISTOGRAM_SUFFIX.sub("", name) not in documented}


def test_the_rules_read_documented_metrics() -> None:
    read = {name for name in RULES.retention if ":" not in name} - {"up"}
    assert len(read) >= 10
    assert undocumented(read) == set()


def cases() -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load(PROMTOOL_TESTS.read_text())["tests"]
    return [case for test in tests for case in test["alert_rule_test"]]


def test_every_alert_fires_in_a_test_and_is_silent_in_another() -> None:
    names = {rule.name for rule in RULES.alerts}
    assert {case["alertname"] for case in cases() if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases() if not case["exp_alerts"]} == names


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", str(RULES_FILE))


@needs_promtool
def test_the_tests_of_the_rules_pass() -> None:
    promtool("test", "rules", str(PROMTOOL_TESTS))


def promtool(*words: str) -> None:
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_grafana_dashboard_asks_for_documented_metrics() -> None:
    board = json.loads((ROOT / "monitoring" / "grafana" / "ondeck.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    named = {name for query in queries for name in METRIC.findall(query)}
    assert len(named) >= 10
    assert undocumented(named) == set()
    assert all(panel["description"] for panel in board["panels"] if panel["type"] != "row")
