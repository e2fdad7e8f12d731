"""The file of the alerts that are active or not sent yet, so that a restart sends no notice twice and loses none."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from ondeck_server.alerts.alert_states import Alert, AlertStates

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class StoredAlerts:
    """Active alerts, notices that wait to be sent, and alerts that were resolved, the newest last."""

    states: AlertStates
    waiting: Sequence[Alert] = ()
    past: Sequence[Alert] = ()


def read_alerts(path: Path) -> StoredAlerts:
    """Read the file; without one, or with an unreadable one, which is logged, no alert is active."""
    try:
        found = json.loads(path.read_text())
        active, waiting, past = ([_alert(each) for each in found[key]] for key in ("active", "waiting", "past"))
    except FileNotFoundError:
        return StoredAlerts(states={})
    except (OSError, ValueError, KeyError, TypeError) as failed:
        log.warning("alerts_unreadable", detail="no alert is active", path=str(path), reason=str(failed))
        return StoredAlerts(states={})
    return StoredAlerts(states={each.labels: each for each in active}, waiting=waiting, past=past)


def write_alerts(path: Path, stored: StoredAlerts) -> None:
    """Replace the file.

    Raises:
        OSError: the disk is full or read-only; the file is as it was.
    """
    content = {
        "active": [as_json(each) for each in stored.states.values()],
        "waiting": [as_json(each) for each in stored.waiting],
        "past": [as_json(each) for each in stored.past],
    }
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(json.dumps(content, indent=1))
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def as_json(alert: Alert) -> dict[str, Any]:
    """Return an alert as JSON values."""
    return {**asdict(alert), "labels": dict(sorted(alert.labels)), "annotations": dict(alert.annotations)}


def _alert(stored: dict[str, Any]) -> Alert:
    return Alert(**{**stored, "labels": frozenset(stored["labels"].items())})
