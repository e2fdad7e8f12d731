"""Health checks of a program: named, each with the reasons why it fails, printed as Kubernetes prints its own."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class HealthCheck:
    """One check; it passes without `faults`. One that is not required is printed, and decides nothing."""

    name: str
    faults: tuple[str, ...] = ()
    is_required: bool = True


def are_passed(checks: Sequence[HealthCheck]) -> bool:
    """Return whether every required check passes."""
    return not any(check.faults for check in checks if check.is_required)


def render_checks(endpoint: str, checks: Sequence[HealthCheck]) -> str:
    """Return a line for each check that passes, one for each fault of the others, and the result."""
    lines = [line for check in checks for line in _lines(check)]
    return "".join(f"{line}\n" for line in (*lines, f"{endpoint} check {'passed' if are_passed(checks) else 'failed'}"))


def _lines(check: HealthCheck) -> list[str]:
    if not check.faults:
        return [f"[+]{check.name} ok"]
    state = "failed" if check.is_required else "degraded"
    return [f"[-]{check.name} {state}: {fault}" for fault in check.faults]
