"""Expectations: what a sweep's finished runs say of those that begin, before anything is seen of them.

Curves tell runs apart in any sweep, but where a rate or a fraction is critical, and how many runs generalise at all,
differs from sweep to sweep. So a forecast is told two things: the chance that their map gives a run by its
configuration (`expected` among its settings), and by how much forecasts of the finished runs were too low (`level`).
A run is looked at once, when it is first handed out, and what was expected is written down with its cohort: a sweep
that was killed and goes on judges it by the same. A map takes longer to draw than many a small run to train, so where a
sampler draws one for its wave it is that one which is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from grokcore.errors import DataError
from grokcore.records.run_record import Outcome
from sweeps.search_map import SearchMap
from sweeps.stopping.base import Expected

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap
    from grokcore.records.milestones import Milestone
    from grokcore.records.regimes import RegimeRule
    from grokcore.records.run_record import RunRecord
    from sweeps.spec.sweep_spec import SweepSpec

Array = npt.NDArray[np.float64]
Results = Sequence[tuple[Mapping[str, Any], "Milestone", "Milestone"]]
Params = Mapping[str, Any]

FIRST: Final = 32
"""Runs that are over before anything is expected of others."""
EARLIEST: Final = 24
"""The same where the sampler has drawn their map: the last of its first wave are still under way then."""
MOST: Final = 512
"""Runs after which neither is asked anew: where the map is unsure by then, seeds disagree."""


def chances_to_generalise(regimes: RegimeMap, points: pd.DataFrame) -> Array:
    """Return the chance that a run at each point generalises within the budget, (points,); NaN where no run says."""
    from analysis.models.cores import single_threaded
    from analysis.models.stages import STAGES

    chances, known = np.full(len(points), np.nan), np.flatnonzero(regimes.has_runs_at(points))
    if len(known):
        with single_threaded():
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
    """What the runs that are over say of those that begin, asked anew when there are twice as many."""

    def __init__(self, spec: SweepSpec, known: Mapping[str, Expected]) -> None:
        """Take what was expected before, by run identity."""
        self._stopping, self._rule = spec.stopping_rule, spec.rule
        self._search = SearchMap(spec.rule, spec.whole_space.distributions, spec.seed)
        self._maps, self._wave = spec.built_sampler.maps, spec.wave
        self._known = dict(known)
        self._drawn, self._levelled, self._level = 0, 0, 0.0
        self._foreseen: dict[str, float | None] = {}

    def of(
        self,
        run_ids: Iterable[str],
        params: Callable[[str], Params | None],
        results: Callable[[], Results],
        records: Callable[[], Iterable[RunRecord]],
        *,
        chosen: bool = False,
        waiting: Callable[[], Iterable[str]] = tuple,
    ) -> dict[str, Expected]:
        """Return what is expected of runs that begin; nothing if nobody asks. `results` and `records` are those over.

        The records, which are longer, are read when there are twice as many results as there were. With `chosen` a wave
        was chosen just now, by the same results. The map is asked of those that are `waiting` at the same time, which
        takes no longer, and again if it is drawn anew before they begin.
        """
        if not self._stopping.expects:
            return {}
        run_ids = list(run_ids)
        new = [run_id for run_id in run_ids if run_id not in self._known]
        if new:
            self._look(results, records, shared=chosen and self._maps)
            if self._search.map is not None and not all(run_id in self._foreseen for run_id in new):
                ids = dict.fromkeys([*new, *waiting()])
                self._foresee({run_id: found for run_id in ids if (found := params(run_id)) is not None})
            self._known |= {run_id: Expected(self._foreseen.pop(run_id, None), self._level) for run_id in new}
        return {run_id: self._known[run_id] for run_id in run_ids}

    def _look(
        self, results: Callable[[], Results], records: Callable[[], Iterable[RunRecord]], *, shared: bool
    ) -> None:
        """Draw the map anew and ask for the level where it is time to; a map that is `shared` is there already."""
        if self._levelled >= MOST and not shared:
            return
        over = results()
        first = EARLIEST if shared else FIRST
        # Where the sampler draws maps, its next one is at most a wave ahead.
        waits = self._wave if self._maps and self._drawn else 0
        if len(over) >= (first if shared else max(first, 2 * self._drawn + waits)):
            if self._search.drawable:
                self._search.tell(over)
            self._drawn = len(over)
            self._foreseen.clear()
        if self._levelled < MOST and self._drawn == len(over) >= max(first, 2 * self._levelled):
            ended = (record for record in records() if record.outcome is not Outcome.FAILED)
            self._level = self._stopping.level(self._rule, ended, self._known)
            self._levelled = len(over)

    def _foresee(self, begun: Mapping[str, Params]) -> None:
        if self._search.map is None or not begun:
            return
        points = pd.DataFrame(list(begun.values()))[list(self._search.axes)]
        chances = chances_to_generalise(self._search.map, points)
        self._foreseen |= {
            run_id: float(chance) if math.isfinite(chance) else None
            for run_id, chance in zip(begun, chances, strict=True)
        }
