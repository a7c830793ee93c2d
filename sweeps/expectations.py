"""Expectations: what the map of a sweep's finished runs says of those that begin, by their configuration alone.

To a forecast this is one thing more that is known of a run (`expected` among its settings): curves tell runs apart in
any sweep, but where a rate or a fraction is critical, and how many runs generalise at all, differs from sweep to sweep.
A run is looked at once, when it is first handed out, and what was expected is written down with its cohort: a sweep
that was killed and goes on judges it by the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokcore.errors import DataError
from sweeps.search_map import SearchMap

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap
    from grokcore.records.milestones import Milestone
    from grokcore.records.regimes import RegimeRule
    from sweeps.spec.sweep_spec import SweepSpec

Array = npt.NDArray[np.float64]
Results = Sequence[tuple[Mapping[str, Any], "Milestone", "Milestone"]]
Params = Mapping[str, Any]

FIRST: Final = 32
"""Runs that are over before anything is expected of others."""
MOST: Final = 512
"""Runs after which the map is not drawn anew: where it is unsure by then, seeds disagree."""


def chances_to_generalise(regimes: RegimeMap, points: pd.DataFrame) -> Array:
    """Return the chance that a run at each point generalises within the budget, (points,); NaN where no run says."""
    from analysis.models.stages import STAGES

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
    from analysis.maps.regime_map import RegimeMap

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


class Expectations:
    """The chance of runs to generalise by the map of those that are over, drawn anew when there are twice as many."""

    def __init__(self, spec: SweepSpec, known: Mapping[str, float | None]) -> None:
        """Take what was expected before, by run identity."""
        self._search = SearchMap(spec.rule, spec.whole_space.distributions, spec.seed)
        self._wanted = spec.stopping_rule.expects
        self._known = dict(known)
        self._size = 0

    def of(
        self, run_ids: Iterable[str], params: Callable[[str], Params | None], results: Callable[[], Results]
    ) -> dict[str, float | None]:
        """Return the chance of runs that begin, None where the runs that are over say none; nothing if nobody asks."""
        if not self._wanted:
            return {}
        run_ids = list(run_ids)
        new = [run_id for run_id in run_ids if run_id not in self._known]
        if new:
            self._known |= dict.fromkeys(new)
            self._look(results)
            self._foresee({run_id: found for run_id in new if (found := params(run_id)) is not None})
        return {run_id: self._known[run_id] for run_id in run_ids}

    def _look(self, results: Callable[[], Results]) -> None:
        """Draw the map anew if there are twice as many results as there were."""
        if not self._search.drawable or self._size >= MOST:
            return
        over = results()
        if len(over) >= max(FIRST, 2 * self._size):
            self._search.tell(over)
            self._size = len(over)

    def _foresee(self, begun: Mapping[str, Params]) -> None:
        if self._search.map is None or not begun:
            return
        points = pd.DataFrame(list(begun.values()))[list(self._search.axes)]
        chances = chances_to_generalise(self._search.map, points)
        self._known |= {r: float(chance) for r, chance in zip(begun, chances, strict=True) if math.isfinite(chance)}
