import warnings
from pathlib import Path

from tests.fixtures.server import serving
from tests.soak.reloads import siblings_of
from tests.soak.rolling import AGE_SECONDS, DRAIN_SECONDS, roll

RATE, FLIPS = 100, 10  # `make soak` does the long form
WORDS = ("--version-policy", "aliases", "--workers", "2")


def test_replaced_workers_and_moved_aliases_lose_no_call_and_each_answer_is_of_the_version_that_it_names(
    small_repository: Path, tmp_path: Path
) -> None:
    models = siblings_of(tmp_path / "models", small_repository)
    with serving(models, *WORDS, max_connection_age_seconds=AGE_SECONDS, drain_seconds=DRAIN_SECONDS) as server:
        rolled = roll(server, models, rate=RATE, flips=FLIPS)
    seen = rolled.seen
    assert rolled.flips >= FLIPS
    assert seen["wrong"] == 0
    assert (seen["lost"]["client"], seen["answered"]["stream"]) == ({}, seen["asked"]["stream"])
    assert seen["answered"]["client"] == seen["asked"]["client"] > RATE
    assert set(seen["versions"]) == {"1", "2"}
    if seen["lost"]["plain"]:  # nobody promises those who repeat nothing that connections outlive a process
        warnings.warn(f"of {seen['asked']['plain']} calls without retries were lost: {seen['lost']}", stacklevel=1)
