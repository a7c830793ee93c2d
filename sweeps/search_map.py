"""SearchMap: the map that a search goes by, told new runs in less than a fit's time and fitted anew now and then.

It is a function of the runs in their order, whatever was told before: a restored search goes on as it would have, and
whoever asks for the map of the same runs (the sampler, what is expected of runs that begin, a goal) gets the same one.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

FIRST: Final = 64
"""The first number of runs at which all of a map is learned, jumps and weights too; it doubles then.

So what is learned takes n runs a share of their time that does not grow with n, and the last wave's stragglers are
seldom among the runs that it is learned from: the next wave has learned the same.
"""


Row = tuple[tuple[str, Any], ...]
"""A run's columns and values."""


@dataclass(frozen=True)
class _Space:
    """What a map is fitted over."""

    axes: tuple[tuple[str, str], ...]
    box: tuple[tuple[str, tuple[float, float]], ...]
    rule: RegimeRule
    seed: int


class SearchMap:
    """A regime map of what a study was told so far."""

    def __init__(self, rule: RegimeRule, distributions: Mapping[str, BaseDistribution], seed: int) -> None:
        # Whoever asks for the map of the same runs gets the same one: in whatever order it has the columns.
        distributions = dict(sorted(distributions.items()))
        self.axes = axes_of(distributions)
        self.map: RegimeMap | None = None
        ranged = (FloatDistribution, IntDistribution)
        box = {
            name: (float(distribution.low), float(distribution.high))
            for name, distribution in distributions.items()
            if name in self.axes and isinstance(distribution, ranged)
        }
        self._space = _Space(tuple(self.axes.items()), tuple(box.items()), rule, seed)

    @property
    def drawable(self) -> bool:
        """Say whether anything varies that has an order."""
        return bool(set(self.axes.values()) - {CATEGORICAL})

    def tell(self, runs: Sequence[tuple[Mapping[str, Any], Milestone, Milestone]]) -> RegimeMap | None:
        """Return the map of all `runs`, (parameters, t_mem, t_gen) each; None where they do not make one yet."""
        rows: list[Row] = []
        for params, mem, gen in runs:
            row = {name: params[name] for name in self.axes}
            row |= {"t_mem": mem.step, "t_mem_event": mem.event, "t_gen": gen.step, "t_gen_event": gen.event}
            # A run censored before the budget was stopped there.
            row["outcome"] = "finished" if gen.event or gen.step >= self._space.rule.budget else "stopped"
            rows.append(tuple(row.items()))
        try:
            self.map = _fitted(tuple(rows), self._space) if rows else None
        except DataError:
            # Too few runs, or an axis without two values yet.
            self.map = None
        return self.map


@functools.lru_cache(maxsize=1)
def _fitted(rows: tuple[Row, ...], space: _Space) -> RegimeMap:
    """Return the map of all runs, with what was learned from the first so many of them."""
    size = learned_from(len(rows))
    try:
        learned = _learned(rows[:size], space)
    except DataError:
        return _learned(rows, space)
    return learned.with_runs(_table(rows)) if size < len(rows) else learned


@functools.lru_cache(maxsize=1)
def _learned(rows: tuple[Row, ...], space: _Space) -> RegimeMap:
    from analysis.maps.regime_map import RegimeMap

    brief = len(rows) < FIRST
    return RegimeMap.fit(
        _table(rows), dict(space.axes), rule=space.rule, seed=space.seed, box=dict(space.box), brief=brief
    )


def _table(rows: tuple[Row, ...]) -> pd.DataFrame:
    return pd.DataFrame([dict(row) for row in rows])


def learned_from(runs: int) -> int:
    """Return from how many of `runs` runs, at least one, a map is fitted, to be told the others: of few, from all."""
    return runs if runs < FIRST else FIRST << (runs // FIRST).bit_length() - 1


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
