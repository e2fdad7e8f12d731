"""The soak in its quick form."""

from pathlib import Path

import pytest

from tests.fixtures.server import serving
from tests.soak.reloader import copy_with_siblings
from tests.soak.run import SoakPlan, soak

SHORT = SoakPlan(reloads=12, cancels=1500, seconds=60)  # `make soak` runs the long form and checks memory


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_and_cancels_cause_no_wrong_response_no_hang_and_no_leak(
    small_repository: Path, tmp_path: Path, workers: int
) -> None:
    models = copy_with_siblings(tmp_path / "models", small_repository)
    with serving(models, "--version-policy", "aliases", "--workers", str(workers)) as server:
        result = soak(server, models, SHORT)
    seen = result.seen
    assert (seen["wrong"], seen["hung"], seen["failed"]) == (0, 0, {}), seen["examples"]
    assert seen["cancelled"] >= SHORT.cancels
    assert set(seen["responses"]) == {"Predict", "BatchPredict", "StreamPredict", "ModelInfer", "ModelStreamInfer"}
    assert {"1", "2"} <= set(seen["versions"])
    assert result.loads >= workers * SHORT.reloads
    assert result.after == result.before
    assert result.after.leases == 0
