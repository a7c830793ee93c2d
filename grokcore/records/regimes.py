"""Regimes: what became of a run, by a stated rule (Liu et al. 2022, arXiv 2205.10343, appendix table 1)."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from annotated_types import Ge, Gt, Le

from grokcore.config.component import Component
from grokcore.records.milestones import Milestone


class Regime(enum.StrEnum):
    """The four regimes of learning, in the order in which maps list them.

    >>> print(*Regime)
    confusion memorization grokking comprehension
    """

    CONFUSION = "confusion"
    MEMORIZATION = "memorization"
    GROKKING = "grokking"
    COMPREHENSION = "comprehension"


REGIMES: tuple[Regime, ...] = tuple(Regime)


@dataclass(frozen=True, kw_only=True)
class RegimeRule(Component):
    """Turns milestones into a regime: an accuracy threshold, a budget, and what counts as a delay.

    confusion: t_mem > budget; memorization: t_mem ≤ budget < t_gen; grokking: both within the budget and delayed;
    comprehension: both within the budget and not delayed. Delayed means t_gen − t_mem ≥ gap, or t_gen ≥ ratio · t_mem.
    Give exactly one of `gap` and `ratio`.

    >>> rule = RegimeRule(budget=5000, ratio=5)
    >>> rule.sentence()
    'accuracy ≥ 0.9 within 5,000 steps; grokking if t_gen ≥ 5 × t_mem'
    >>> print(rule.label(Milestone(event=True, step=100), Milestone(event=True, step=2000)))
    grokking
    """

    threshold: Annotated[float, Gt(0), Le(1)] = 0.9
    """Accuracy that counts as learned; Liu et al. use 0.9."""
    budget: Annotated[int, Ge(1)]
    """Optimizer steps after which a run that has not generalised is called memorization."""
    gap: Annotated[float, Ge(0)] | None = None
    """Optimizer steps between the milestones from which on it is grokking; Liu et al. use 1,000 of 100,000."""
    ratio: Annotated[float, Ge(1)] | None = None
    """Factor between the milestones from which on it is grokking; the form that suits short runs."""

    def complaints(self) -> Iterator[str]:
        """Yield that not exactly one of `gap` and `ratio` was given."""
        if (self.gap is None) == (self.ratio is None):
            state = "missing" if self.gap is None else "both given"
            yield f"gap and ratio are {state}: give exactly one of the two, as ratio = 5.0."

    def delayed(self, t_mem: npt.NDArray[np.float64], t_gen: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """Say, elementwise, whether generalisation at `t_gen` counts as delayed after memorization at `t_mem`."""
        if self.gap is not None:
            return np.asarray(t_gen - t_mem >= self.gap)
        return np.asarray(t_gen >= (self.ratio or 1.0) * t_mem)

    def label(self, t_mem: Milestone, t_gen: Milestone) -> Regime:
        """Return the regime of one run."""
        (index,) = self.labels(
            np.array([t_mem.step]), np.array([t_mem.event]), np.array([t_gen.step]), np.array([t_gen.event])
        )
        return REGIMES[int(index)]

    def labels(
        self, t_mem: npt.ArrayLike, t_mem_event: npt.ArrayLike, t_gen: npt.ArrayLike, t_gen_event: npt.ArrayLike
    ) -> npt.NDArray[np.int64]:
        """Return, for arrays of milestones, indices into `REGIMES`.

        A run that was stopped before the budget without generalising is labelled as if it never would; an analysis
        that must not assume so (`analysis.RegimeMap`) uses the censoring itself.
        """
        mem = np.where(np.asarray(t_mem_event, dtype=bool), np.asarray(t_mem, dtype=float), np.inf)
        gen = np.where(np.asarray(t_gen_event, dtype=bool), np.asarray(t_gen, dtype=float), np.inf)
        memorised, generalised = mem <= self.budget, gen <= self.budget
        with np.errstate(invalid="ignore"):
            delayed = self.delayed(mem, gen)
        learned = np.where(delayed, REGIMES.index(Regime.GROKKING), REGIMES.index(Regime.COMPREHENSION))
        fitted = np.where(generalised, learned, REGIMES.index(Regime.MEMORIZATION))
        return np.where(memorised, fitted, REGIMES.index(Regime.CONFUSION)).astype(np.int64)

    def sentence(self) -> str:
        """Return the rule in words, as it is printed under every map."""
        delay = f"t_gen − t_mem ≥ {self.gap:g} steps" if self.gap is not None else f"t_gen ≥ {self.ratio:g} × t_mem"
        return f"accuracy ≥ {self.threshold:g} within {self.budget:,} steps; grokking if {delay}"
