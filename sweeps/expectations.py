"""Expectations: what the map of a sweep's finished runs says of those that begin, for rules of stopping that ask.

A run is looked at once, when it is first handed out, and what was expected is written down with its cohort: a sweep
that was killed and goes on judges it by the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from sweeps.search_map import SearchMap

if TYPE_CHECKING:
    from grokcore.records.milestones import Milestone
    from sweeps.spec.sweep_spec import SweepSpec

Results = Sequence[tuple[Mapping[str, Any], "Milestone", "Milestone"]]
Params = Mapping[str, Any]


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
            self._look(results())
            self._foresee({run_id: found for run_id in new if (found := params(run_id)) is not None})
        return {run_id: self._known[run_id] for run_id in run_ids}

    def _look(self, results: Results) -> None:
        """Draw the map anew if there are twice as many results as there were."""
        from analysis.maps.expectation import FIRST, MOST

        if self._search.drawable and self._size < MOST and len(results) >= max(FIRST, 2 * self._size):
            self._search.tell(results)
            self._size = len(results)

    def _foresee(self, begun: Mapping[str, Params]) -> None:
        from analysis.maps.expectation import chances_to_generalise

        if self._search.map is None or not begun:
            return
        points = pd.DataFrame(list(begun.values()))[list(self._search.axes)]
        chances = chances_to_generalise(self._search.map, points)
        self._known |= {r: float(chance) for r, chance in zip(begun, chances, strict=True) if math.isfinite(chance)}
