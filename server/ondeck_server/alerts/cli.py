"""`ondeck alerts`: the alerts of a running server, and the rules."""

import json
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlsplit

import click

from ondeck_core.errors import OndeckError
from ondeck_runtime.logging import printable
from ondeck_runtime.settings import read_settings
from ondeck_server.alerts.rules import RULES_FILE
from ondeck_server.settings import ServerSettings

_OK: Final = 200
_SECONDS: Final = 5.0


class AlertsUnavailableError(OndeckError):
    """No server answers, or it evaluates no rules."""


@click.command("list")
@click.option("--admin", metavar="URL", help="Address of the admin pages; default: of a server with these settings.")
@click.option("--past", is_flag=True, help="List the alerts that are over, too.")
def list_(*, admin: str | None, past: bool) -> None:
    """List the alerts of a running server, the newest first."""
    page = _read(admin or _default_admin())
    shown = [*page["active"], *(page["past"] if past else [])]
    for alert in shown:
        click.echo(printable(_line(alert)))
    if not shown:
        click.echo(f"no alert is active; {len(page['rules'])} rules are evaluated")


@click.command("rules")
def print_rules() -> None:
    """Print the alert rules in the format of Prometheus."""
    click.echo(RULES_FILE.read_text(), nl=False)


def _default_admin() -> str:
    settings = read_settings(ServerSettings)
    return f"http://127.0.0.1:{settings.admin_port}"


def _read(admin: str) -> dict[str, Any]:
    address = urlsplit(admin)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=_SECONDS)
    try:
        connection.request("GET", "/alerts")
        response = connection.getresponse()
        content = response.read()
    except (OSError, HTTPException, ValueError) as failed:
        raise AlertsUnavailableError(f"no server answers at {admin}; start one with: ondeck up") from failed
    finally:
        connection.close()
    if response.status != _OK:
        raise AlertsUnavailableError(f"the server at {admin} evaluates no rules (ONDECK_ALERT_INTERVAL_SECONDS is 0)")
    page: dict[str, Any] = json.loads(content)
    return page


def _line(alert: dict[str, Any]) -> str:
    labels = {name: value for name, value in alert["labels"].items() if name != "alertname"}
    since = alert["resolved_at"] or alert["fired_at"] or alert["began_at"]
    when = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = alert["annotations"].get("summary", "")
    named = ", ".join(f"{name}={value}" for name, value in labels.items())
    return f"{alert['state']:8} {alert['labels']['alertname']} since {when}: {text} ({named})"
