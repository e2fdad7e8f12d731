"""Health checks are printed as Kubernetes prints its own, and only those that are required decide."""

from ondeck_runtime.health_checks import HealthCheck, are_passed, render_checks

PASSED = HealthCheck(name="models")
FAILED = HealthCheck(name="shutdown", faults=("draining",))
DEGRADED = HealthCheck(name="workers", faults=("1 of 2 workers accept calls", "worker 7 is silent"), is_required=False)


def test_each_check_has_a_line_for_its_state_or_each_fault() -> None:
    assert render_checks("readyz", [PASSED, DEGRADED]).splitlines() == [
        "[+]models ok",
        "[-]workers degraded: 1 of 2 workers accept calls",
        "[-]workers degraded: worker 7 is silent",
        "readyz check passed",
    ]
    assert render_checks("readyz", [PASSED, FAILED]).splitlines() == [
        "[+]models ok",
        "[-]shutdown failed: draining",
        "readyz check failed",
    ]


def test_only_required_checks_decide() -> None:
    assert are_passed([PASSED, DEGRADED])
    assert not are_passed([PASSED, FAILED])
