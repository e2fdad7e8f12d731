"""What every test may ask for."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("gate", derandomize=True)  # the gate is repeatable; HYPOTHESIS_PROFILE=default explores
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

ROOT = Path(__file__).resolve().parent.parent

pytest_plugins = [
    "tests.fixtures_store",
    "tests.fixtures_models",
    "tests.fixtures_ports",
    "tests.fixtures_savant",
    "tests.fixtures_server",
    "tests.fixtures_explaining",
    "tests.fixtures_tls",
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
