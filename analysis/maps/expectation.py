"""What the map of a sweep's own runs expects of another one, by its configuration alone, before it is trained.

To a forecast this is one thing more that is known of a run (`expected` among its settings): curves tell runs apart in
any sweep, but where a rate or a fraction is critical, and how many runs generalise at all, differs from sweep to sweep.
A map is drawn anew when the number of runs that are over has doubled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd

from analysis.maps.regime_map import RegimeMap
from analysis.models.stages import STAGES
from analysis.runs.axes import Array
from grokcore.errors import DataError
from grokcore.records.regimes import RegimeRule

FIRST: Final = 32
"""Runs that are over before anything is expected of others."""
MOST: Final = 512
"""Runs after which the map is not drawn anew: where it is unsure by then, seeds disagree."""


def chances_to_generalise(regimes: RegimeMap, points: pd.DataFrame) -> Array:
    """Return the chance that a run at each point generalises within the budget, (points,); NaN where no run says."""
    chances, known = np.full(len(points), np.nan), np.flatnonzero(regimes.has_runs_at(points))
    if len(known):
        table = regimes.probabilities(points.iloc[known]).to_numpy()
        chances[known] = table[:, list(STAGES["generalised"][1])].sum(axis=1)
    return chances


def expected_in_order(frame: pd.DataFrame, axes: Mapping[str, str], rule: RegimeRule) -> Array:
    """Return what was expected of each run of a table, (runs,), by the map of those before it; NaN where there is none.

    `frame` and `axes` are those of `RegimeMap.fit`. So a forecaster learns from a sweep that is over what it will know
    in the next one.
    """
    chances, size = np.full(len(frame), np.nan), FIRST
    while size < len(frame):
        end = min(2 * size, len(frame)) if size < MOST else len(frame)
        try:
            regimes = RegimeMap.fit(frame.head(size), axes, rule=rule, box=_box(frame, axes))
        except DataError:
            pass  # an axis that does not vary yet, say: nothing is expected
        else:
            chances[size:end] = chances_to_generalise(regimes, frame.iloc[size:end])
        size = end
    return chances


def _box(frame: pd.DataFrame, axes: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Return the ranges of all runs, so that no point lies outside."""
    return {name: (frame[name].min(), frame[name].max()) for name, scale in axes.items() if scale in ("linear", "log")}
