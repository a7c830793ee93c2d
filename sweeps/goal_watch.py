"""GoalWatch: says before each wave how far a sweep is from its goal, and whether another wave is wanted at all."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from grokcore.records.milestones import Milestone
from sweeps.search_map import SearchMap
from sweeps.spec.goal import Goal

if TYPE_CHECKING:
    from sweeps.spec.sweep_spec import SweepSpec

FLAT = 0.05
"""Power of the number of runs below which the width of a band is taken not to fall any more."""
EARLIER = (0.75, 0.55)
"""Shares of the runs, those that were chosen first, whose maps are looked at where too few waves were seen."""
Run = tuple[Mapping[str, Any], Milestone, Milestone]
"""Parameters of a finished run, and when it memorised and generalised."""


class GoalWatch:
    """Looks at what is finished, says how wide the bands are, or what was spent, and when that is enough."""

    def __init__(self, spec: SweepSpec, say: Callable[[str], object]) -> None:
        self._spec, self._say = spec, say
        self._goal = None if spec.until is None else Goal.of(spec.until)
        self._search = SearchMap(spec.rule, spec.chosen_space.distributions, spec.seed)
        self._seen: list[tuple[int, float]] = []
        self.said = ""
        """How the goal stands, in a sentence."""

    def enough(self, runs: Sequence[Run], steps: int, running: int) -> bool:
        """Say whether the goal is reached by finished `runs` that took `steps` in all, while others are running."""
        if self._goal is None or not runs:
            return False
        if self._goal.kind == "steps":
            expected = steps + running * steps / len(runs)
            ahead = f", and at the mean {expected:,.0f} when {running} more are over" if running else ""
            self.said = f"{steps:,} steps spent of {self._goal.value:,.0f}, in {len(runs)} runs{ahead}"
            return expected >= self._goal.value
        return self._narrow(runs)

    def _narrow(self, runs: Sequence[Run]) -> bool:
        from analysis.maps.band_width import band_widths

        fitted = self._search.tell(runs)
        widths = band_widths(fitted) if fitted is not None else {}
        if not widths or self._goal is None:
            self.said = f"no boundary seen yet in {len(runs)} runs"
            self._say(self.said)
            return False
        (pair, widest) = next(iter(widths.items()))
        self._seen.append((len(runs), widest))
        each = ", ".join(f"{a} | {b} {width:.3f}" for (a, b), width in widths.items())
        self.said = f"90 % bands after {len(runs)} runs, as shares of an axis: {each}"
        after = self._power()
        if widest > self._goal.value and after is not None:
            following = widest * (1 + self._spec.wave / len(runs)) ** after
            self.said += f"; the next {self._spec.wave} runs should bring {' | '.join(pair)} to {following:.3f}"
        self._say(self.said)
        return widest <= self._goal.value

    def verdict(self, finished: Sequence[Run]) -> str:
        """Return why the goal was not reached with all runs spent, and what would reach it; empty for one of steps.

        What was not looked at in this session is looked at now: the map of the runs that finished first.
        """
        if self._goal is None or self._goal.kind != "boundary":
            return ""
        if not self._seen:
            return (
                f"{self.said or 'no run has finished'}, so nothing can be said of {self._goal.value:g}: give more runs."
            )
        if self._seen[-1][1] > self._goal.value:
            self._look_back(finished)
        runs, widest = self._seen[-1]
        if widest <= self._goal.value:
            return ""
        power = self._power()
        wanted = f"the widest band is {widest:.3f} of an axis after {runs} runs, {self._goal.value:g} was wanted"
        if power is None:
            return f"{wanted}; too few waves were seen to tell how many runs it takes."
        if power > -FLAT:
            return f"{wanted}; it no longer falls with more runs, so none would do: choose a wider band."
        needed = runs * (self._goal.value / widest) ** (1 / power)
        return f"{wanted}; as it fell so far, about {math.ceil(needed / 10) * 10:,} runs would reach it."

    def _look_back(self, finished: Sequence[Run]) -> None:
        from analysis.maps.band_width import band_widths

        for share in EARLIER[: max(3 - len(self._seen), 0)]:
            runs = int(share * len(finished))
            search = SearchMap(self._spec.rule, self._spec.chosen_space.distributions, self._spec.seed)
            fitted = search.tell(finished[:runs]) if runs < self._seen[0][0] else None
            if fitted is not None and (widths := band_widths(fitted)):
                self._seen.insert(0, (runs, next(iter(widths.values()))))

    def _power(self) -> float | None:
        """Return the power of the number of runs by which the widest band changed so far, from three looks on."""
        if len(self._seen) < 3:
            return None
        runs, widths = np.log(np.array(self._seen[-6:])).T
        return float(np.polyfit(runs, widths, 1)[0])
