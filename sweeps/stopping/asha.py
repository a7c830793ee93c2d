"""ASHA: at each rung the best share of the runs that reach it goes on, as Optuna's SuccessiveHalvingPruner has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Lt

from grokcore.engine.evaluation_schedule import evaluation_steps
from grokcore.records.regimes import RegimeRule
from grokcore.run_config import RunConfig
from sweeps.stopping.base import Array, PeerJudge, Stopping


@dataclass(frozen=True, kw_only=True)
class Asha(Stopping):
    """Successive halving: at each rung the best 1/`reduction` of the runs that reach it go on.

    Li et al. 2018 (arXiv 1810.05934), with the promotion of Optuna's `SuccessiveHalvingPruner`, by validation accuracy
    at the rung. It ends late bloomers: it is here to compare with.
    """

    taken: ClassVar[float] = 0.14

    reduction: Annotated[int, Ge(2)] = 4
    """Of so many runs one goes on; each rung is so many times as late as the one before."""
    first: Annotated[float, Gt(0), Lt(1)] = 0.0625
    """Share of the budget at which the first rung is."""

    def judge(self, rule: RegimeRule) -> AshaJudge:
        """Return the judge."""
        return AshaJudge(rule.budget, self.reduction, self.first)


class AshaJudge(PeerJudge):
    """Compares runs at rungs."""

    def __init__(self, budget: int, reduction: int, first: float) -> None:
        self._budget, self._reduction, self._first = budget, reduction, first

    def looks(self, config: RunConfig) -> frozenset[int]:
        """Return the rungs: the first evaluation at or after each."""
        budget = min(config.steps, self._budget)
        marks, rungs, rung = np.array(evaluation_steps(config.steps)), set[int](), self._first * budget
        while rung < budget:
            rungs.add(int(marks[np.searchsorted(marks, rung)]))
            rung *= self._reduction
        return frozenset(rungs - {budget})

    def losers(self, best: Array, now: Array, step: int) -> list[str]:  # noqa: ARG002
        """Return why runs that are not among the best are stopped; one always goes on."""
        going = max(len(now) // self._reduction, 1)
        line = np.sort(now)[-going]
        return [
            ""
            if own >= line
            else f"validation accuracy {own:.3f} at step {step:,}, not among the best {going} of {len(now)} runs"
            for own in now
        ]
