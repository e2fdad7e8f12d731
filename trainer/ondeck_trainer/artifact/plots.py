"""Reliability curves as a picture: what was predicted against what happened."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from ondeck_core.evaluation import ReliabilityBin

_PANEL_INCHES: Final = 2.4
_LIKE_EVERY_TIME: Final[Any] = {"svg.hashsalt": "ondeck", "svg.fonttype": "none", "font.size": 8}


def reliability_curves(curves: Mapping[str, Sequence[ReliabilityBin]], title: str) -> bytes:
    """Draw one panel for each outcome, as SVG; a point is a bin of rows, the dashed line is perfect calibration."""
    with mpl.rc_context(_LIKE_EVERY_TIME):
        figure = Figure(figsize=(_PANEL_INCHES * len(curves), _PANEL_INCHES + 0.5), layout="constrained")
        figure.suptitle(title)
        panels = figure.subplots(1, len(curves), squeeze=False)[0]
        for panel, (outcome, bins) in zip(panels, curves.items(), strict=True):
            top = max(max(each.predicted, each.observed) for each in bins)
            panel.plot([0, top], [0, top], "--", color="0.6", linewidth=0.8)
            panel.plot([each.predicted for each in bins], [each.observed for each in bins], "o-", markersize=2.5)
            panel.set(title=outcome, xlabel="predicted", aspect="equal")
        panels[0].set_ylabel("happened")
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()
