"""Fixtures for every test."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# The gate is repeatable, on a busy machine, too; HYPOTHESIS_PROFILE=default explores.
settings.register_profile("gate", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = [
    "tests.fixtures.store",
    "tests.fixtures.models",
    "tests.fixtures.ports",
    "tests.fixtures.savant",
    "tests.fixtures.browser",
    "tests.fixtures.server",
    "tests.fixtures.explain",
    "tests.fixtures.tls",
    "tests.fixtures.webhook",
]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("ONDECK_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "statcast").is_dir():
        pytest.skip(f"no real Statcast data in {folder} (ONDECK_REAL_DATA names another folder)")
    return folder
