"""A rolling restart with alias changes under load."""

import warnings
from pathlib import Path

from tests.fixtures.server import serving
from tests.soak.reloader import copy_with_siblings
from tests.soak.rolling_restart import DRAIN_SECONDS, MAX_CONNECTION_AGE_SECONDS, restart_workers

RATE, FLIPS = 100, 10  # `make soak` runs the long form
OPTIONS = ("--version-policy", "aliases", "--workers", "2")


def test_a_rolling_restart_with_alias_flips_loses_no_call_and_names_the_right_version(
    small_repository: Path, tmp_path: Path
) -> None:
    models = copy_with_siblings(tmp_path / "models", small_repository)
    with serving(
        models, *OPTIONS, max_connection_age_seconds=MAX_CONNECTION_AGE_SECONDS, drain_seconds=DRAIN_SECONDS
    ) as server:
        result = restart_workers(server, models, rate=RATE, flips=FLIPS)
    seen = result.seen
    assert result.flips >= FLIPS
    assert seen["wrong"] == 0
    assert (seen["lost"]["client"], seen["received"]["stream"]) == ({}, seen["sent"]["stream"])
    assert seen["received"]["client"] == seen["sent"]["client"] > RATE
    assert set(seen["versions"]) == {"1", "2"}
    if seen["lost"]["plain"]:  # without retries a call can end with the process
        warnings.warn(f"of {seen['asked']['plain']} calls without retries were lost: {seen['lost']}", stacklevel=1)
