"""Paired times, right-censored at a budget: how many times sooner one of two methods gets there, with exact intervals.

A time is restricted to the budget: a run that never gets there counts with the budget itself, so a ratio is one of
restricted geometric means and says nothing of what happens later. Both numbers below ask only that a pair's logarithmic
ratio be as likely above its centre as below, which no difference between the methods implies: intervals are Hartigan's
(1969, JASA 64:1303, "typical values": the means of all subsets of the pairs cut the line into parts that are equally
likely to hold the centre), tests flip signs. Many comparisons are corrected by Holm (1979).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.runs.axes import Array
from grokcore.errors import DataError

LEVEL = 0.95
"""How often an interval should hold the truth."""

MOST = 14
"""Pairs up to which all subsets are looked at; of more pairs 2^14 subsets are drawn."""


@dataclass(frozen=True)
class Times:
    """Times of runs, in the order of their seeds, each restricted to the budget."""

    steps: Array
    """(N,) when each got there, or the budget."""
    events: npt.NDArray[np.bool_]
    """(N,) whether it did."""

    @classmethod
    def within(cls, steps: npt.ArrayLike, events: npt.ArrayLike, budget: float) -> Times:
        """Return the times of runs that got there at `steps` where `events`, restricted to `budget`."""
        there = np.asarray(events, dtype=bool) & (np.asarray(steps, dtype=float) <= budget)
        return cls(np.where(there, np.maximum(np.asarray(steps, dtype=float), 1.0), float(budget)), there)


class Speedup(NamedTuple):
    """How many times sooner; above 1 the second method is the faster."""

    ratio: float
    """Geometric mean, over pairs, of the first's time over the second's."""
    low: float
    """Lower end of its 95 % interval; 0 with too few pairs for one."""
    high: float
    """Upper end; infinite with too few pairs."""
    p_value: float
    """Two-sided, that there is no difference."""
    pairs: int
    """How many pairs."""


def log_ratios(slow: Times, fast: Times) -> Array:
    """Return ln of each pair's ratio of restricted times, (N,): 0 where neither got there.

    Raises `DataError` for two methods of different numbers of runs.
    """
    if len(slow.steps) != len(fast.steps):
        raise DataError(f"{len(slow.steps)} and {len(fast.steps)} runs make no pairs: give one of each for every seed.")
    return np.log(slow.steps / fast.steps)


def speedup(logs: npt.ArrayLike) -> Speedup:
    """Return how many times sooner, from the pairs' logarithmic ratios (N,); raises `DataError` for none."""
    values = np.asarray(logs, dtype=float)
    if not len(values):
        raise DataError("no pair of runs to take a ratio of.")
    chosen = _subsets(len(values))
    sums = chosen @ values
    means = np.sort(sums / chosen.sum(axis=1))
    outside = int((1 - LEVEL) / 2 * (len(means) + 1))
    low, high = (means[outside - 1], means[-outside]) if outside else (-np.inf, np.inf)
    total = values.sum()
    # Flipping the signs of all pairs outside of a subset turns the sum into twice the subset's less the total.
    extreme = np.abs(2 * sums - total) >= abs(total) * (1 - 1e-12)
    p_value = (extreme.sum() + 1) / (len(sums) + 1)
    mean, low, high = np.exp([values.mean(), low, high])
    return Speedup(float(mean), float(low), float(high), float(p_value), len(values))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number: any at most .05 is a false alarm in 5 % of such sets at most."""
    order = np.argsort(p_values, kind="stable")
    raised = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(np.maximum.accumulate(raised), 1.0) if len(order) else raised
    return [float(value) for value in corrected]


@functools.cache
def _subsets(pairs: int) -> Array:
    """Return the subsets of so many pairs but the empty one, (subsets, pairs) of ones and zeros."""
    if pairs > MOST:
        drawn = np.random.default_rng(0).integers(2, size=(2**MOST, pairs))
        return drawn[drawn.any(axis=1)].astype(float)
    return ((np.arange(1, 2**pairs)[:, None] >> np.arange(pairs)) & 1).astype(float)
