"""Plan: how hard every method is tuned, how many seeds its final has, and what all of it costs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grokcore.engine.early_stopping import EarlyStopping
from sweeps.league.entries import Method, Problem

THRESHOLD = 0.95
"""Validation accuracy that has to be reached and kept."""

KEPT = EarlyStopping(accuracy=THRESHOLD, window=1.5)
"""When a run has kept it: for half as long again as it took to get there."""

TUNING_SEED = 1000
"""First seed of the trials; those of the final begin at 0, so that no split is seen in both."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The same for the baseline and for every method."""

    name: str
    """full or quick."""
    trials: int
    """Settings that are tried, on one seed each."""
    wave: int
    """Of which so many at a time; those after the first wave are chosen by what was seen."""
    finalists: int
    """Best settings that are tried again, on more seeds."""
    finalist_seeds: int
    """On how many."""
    seeds: int
    """Seeds of the final, for the best setting of all."""
    fractions: int | None
    """How many of a problem's fractions are used, the largest first; None for all."""
    map_runs: int
    """Runs of each method's map; 0 for none."""

    @property
    def runs(self) -> int:
        """Return the runs of a method on a problem at one fraction."""
        return self.trials + self.finalists * self.finalist_seeds + self.seeds

    def fractions_of(self, problem: Problem) -> tuple[float, ...]:
        """Return a problem's fractions, rising."""
        rising = sorted(problem.fractions)
        return tuple(rising if self.fractions is None else rising[-self.fractions :])

    def price(self, methods: Iterable[Method], problems: Iterable[Problem], mapped: str) -> float:
        """Return the core-seconds that it takes at most."""
        runs = {p.name: self.runs * len(self.fractions_of(p)) + self.map_runs * (p.name == mapped) for p in problems}
        each = sum(runs[problem.name] * problem.cost for problem in problems)
        return sum(each * method.cost for method in methods)


FULL = Plan(
    name="full", trials=8, wave=4, finalists=2, finalist_seeds=2, seeds=13, fractions=None, map_runs=32
)  # fmt: skip
"""What the documentation has. Of 13 pairs that agree the signs flip with p = 2/2^13: small enough to be seen among all
comparisons."""

QUICK = Plan(name="quick", trials=6, wave=6, finalists=2, finalist_seeds=2, seeds=8, fractions=1, map_runs=0)
"""A look: one fraction each and no maps. Of 8 pairs no difference is seen among so many comparisons."""
