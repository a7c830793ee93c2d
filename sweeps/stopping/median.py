"""Median: a run is stopped when it is worse than the median of those beside it, as Optuna's MedianPruner has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Lt

from analysis.forecast.landmarks import landmarks
from grokcore.records.regimes import RegimeRule
from grokcore.run_config import RunConfig
from sweeps.stopping.base import Array, PeerJudge, Stopping


@dataclass(frozen=True, kw_only=True)
class Median(Stopping):
    """A run is stopped when its best validation accuracy so far is below the median of its peers' at that step.

    The rule of Golovin et al. 2017 (doi 10.1145/3097983.3098043), as in Optuna's `MedianPruner`; asked at landmarks,
    five per factor of ten in steps. It ends late bloomers: it is here to compare with.
    """

    taken: ClassVar[float] = 0.33

    startup: Annotated[int, Ge(1)] = 5
    """Peers below which nothing is stopped."""
    warmup: Annotated[float, Ge(0), Lt(1)] = 0.0625
    """Share of the budget before which nothing is stopped."""

    def judge(self, rule: RegimeRule) -> MedianJudge:
        """Return the judge."""
        return MedianJudge(rule.budget, self.startup, self.warmup)


class MedianJudge(PeerJudge):
    """Compares a run's best accuracy with the median of its peers' present ones."""

    def __init__(self, budget: int, startup: int, warmup: float) -> None:
        self._budget, self._startup, self._warmup = budget, startup, warmup

    def looks(self, config: RunConfig) -> frozenset[int]:
        """Return the landmarks after the warm-up."""
        budget = min(config.steps, self._budget)
        return frozenset(step for step in landmarks(budget) if step >= self._warmup * budget)

    def losers(self, best: Array, now: Array, step: int) -> list[str]:
        """Return why runs below the median are stopped."""
        if len(now) <= self._startup:
            return [""] * len(now)
        lines = [float(np.median(np.delete(now, i))) for i in range(len(now))]
        return [
            f"best validation accuracy {own:.3f} at step {step:,}, below the median {line:.3f} of {len(now) - 1} peers"
            if own < line
            else ""
            for own, line in zip(best, lines, strict=True)
        ]
