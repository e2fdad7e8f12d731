from pathlib import Path

import pytest

from tests.fixtures.server import serving
from tests.soak.reloads import siblings_of
from tests.soak.run import Length, soak

SHORT = Length(reloads=12, cancels=1500, seconds=60)  # `make soak` runs the long form, and judges memory


@pytest.mark.parametrize("processes", [1, 2])
def test_reloads_and_callers_who_go_away_leave_nothing_wrong_nothing_hanging_and_nothing_behind(
    small_repository: Path, tmp_path: Path, processes: int
) -> None:
    models = siblings_of(tmp_path / "models", small_repository)
    with serving(models, "--version-policy", "aliases", "--workers", str(processes)) as server:
        soaked = soak(server, models, SHORT)
    seen = soaked.seen
    assert (seen["wrong"], seen["hung"], seen["failed"]) == (0, 0, {}), seen["examples"]
    assert seen["cancelled"] >= SHORT.cancels
    assert set(seen["answers"]) == {"Predict", "BatchPredict", "StreamPredict", "ModelInfer", "ModelStreamInfer"}
    assert {"1", "2"} <= set(seen["versions"])
    assert soaked.loads >= processes * SHORT.reloads
    assert soaked.after == soaked.before
    assert soaked.after.leases == 0
