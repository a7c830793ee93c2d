"""SearchMap: the map that a search goes by, told new runs in a tenth of a fit's time and fitted anew now and then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from analysis.runs.axes import are_powers
from analysis.runs.categories import CATEGORICAL
from grokcore.errors import DataError
from grokcore.records.milestones import Milestone
from grokcore.records.regimes import RegimeRule

if TYPE_CHECKING:
    from analysis.maps.regime_map import RegimeMap

GROWTH: Final = 1.4
"""Factor by which runs must have become more before hyperparameters and weights are learned again."""


class SearchMap:
    """A regime map of what a study was told so far."""

    def __init__(self, rule: RegimeRule, distributions: Mapping[str, BaseDistribution], seed: int) -> None:
        self.axes = axes_of(distributions)
        self.map: RegimeMap | None = None
        self._rule, self._seed, self._learned = rule, seed, 0
        ranged = (FloatDistribution, IntDistribution)
        self._box = {
            name: (float(distribution.low), float(distribution.high))
            for name, distribution in distributions.items()
            if name in self.axes and isinstance(distribution, ranged)
        }

    @property
    def drawable(self) -> bool:
        """Say whether anything varies that has an order."""
        return bool(set(self.axes.values()) - {CATEGORICAL})

    def tell(self, runs: Sequence[tuple[Mapping[str, Any], Milestone, Milestone]]) -> RegimeMap | None:
        """Return the map of all `runs`, (parameters, t_mem, t_gen) each; None where they do not make one yet."""
        from analysis.maps.regime_map import RegimeMap

        rows = []
        for params, mem, gen in runs:
            row = {name: params[name] for name in self.axes}
            row |= {"t_mem": mem.step, "t_mem_event": mem.event, "t_gen": gen.step, "t_gen_event": gen.event}
            # A run censored before the budget was stopped there.
            row["outcome"] = "finished" if gen.event or gen.step >= self._rule.budget else "stopped"
            rows.append(row)
        try:
            if self.map is not None and len(rows) < GROWTH * self._learned:
                self.map = self.map.with_runs(pd.DataFrame(rows))
            else:
                self.map = RegimeMap.fit(
                    pd.DataFrame(rows), self.axes, rule=self._rule, seed=self._seed, previous=self.map, box=self._box
                )
                self._learned = len(rows)
        except DataError:
            # Too few runs, or an axis without two values yet.
            self.map = None
        return self.map


def axes_of(space: Mapping[str, BaseDistribution]) -> dict[str, str]:
    """Return the axes of the map, each with its scale: what varies but the seed; choices of words are categories."""
    found: dict[str, str] = {}
    for name, distribution in space.items():
        if distribution.single() or name.rpartition(".")[2] == "seed":
            continue
        if isinstance(distribution, CategoricalDistribution):
            numbers = [
                float(c) for c in distribution.choices if isinstance(c, (int, float)) and not isinstance(c, bool)
            ]
            scale = "log" if are_powers(numbers) else "linear"
            found[name] = scale if len(numbers) == len(distribution.choices) else CATEGORICAL
        elif isinstance(distribution, (FloatDistribution, IntDistribution)):
            found[name] = "log" if distribution.log else "linear"
    return found
