"""Times known only between two evaluations: the curve of Turnbull (1976), and the log-rank test of Sun (1996) with it.

A time lies in (low, high]; where both are equal it is exact, where high is infinite it is right-censored. Without wide
intervals the curve is that of Kaplan and Meier. What an interval of the curve holds is spread evenly over log steps, as
the models of times have it: the runs say nothing of where in it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from analysis.runs.axes import Array

ROUNDS, ROUNDS_OF_DRAWS = 5000, 300
"""Rounds of expectation and maximisation at most: for the estimate, and for resampled runs."""
SURE, SURE_OF_DRAWS = 1e-4, 1e-2
"""How much a round may still change a share, relative to it, at the end: of the estimate, and of resampled runs."""
FIRST = 1.0
"""Step at which log steps begin."""


class Shares(NamedTuple):
    """Which share of the runs has its time in which of Turnbull's innermost intervals, in order."""

    low: Array
    """(m,) Lower ends in steps."""
    high: Array
    """(m,) Upper ends: equal to `low` for an exact time, infinite for what nobody saw the end of."""
    share: Array
    """(m,) Shares; their sum is 1."""
    draws: Array
    """(d, m) The same of resampled runs."""
    inside: npt.NDArray[np.bool_]
    """(n, m) Whether an interval lies in that of a run."""

    @property
    def survival(self) -> Array:
        """Return (m,) the share of runs whose time lies beyond each interval."""
        return np.clip(1.0 - np.cumsum(self.share), 0.0, 1.0)


def turnbull(low: npt.ArrayLike, high: npt.ArrayLike, draws: int = 0, seed: int = 0) -> Shares:
    """Return the likeliest shares of runs whose times lie in (low, high], each (n,), and those of resampled runs."""
    ends = np.column_stack([np.asarray(low, dtype=float), np.asarray(high, dtype=float)])
    left, right, steps = _in_order(ends)
    # Only between a lower end and an upper one with no end between can a share be told from its neighbours'.
    inner = np.flatnonzero(np.isin(np.arange(len(steps) - 1), left) & np.isin(np.arange(1, len(steps)), right))
    inside = (left[:, None] <= inner) & (inner + 1 <= right[:, None])
    _, one, counts = np.unique(inside, axis=0, return_index=True, return_counts=True)
    resampled = np.random.default_rng(seed).multinomial(len(ends), counts / len(ends), size=draws)
    kinds = inside[one].astype(float)
    share = _likeliest(kinds, counts[None] / len(ends), SURE, ROUNDS)[0]
    others = _likeliest(kinds, resampled / len(ends), SURE_OF_DRAWS, ROUNDS_OF_DRAWS)
    return Shares(steps[inner], steps[inner + 1], share, others, inside)


def _in_order(ends: Array) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """Return the places of lower and upper ends among all that there are, and the steps at these places.

    At one step an exact time begins first, then what ends there, then what begins after it.
    """
    low, high = ends.T
    kinds = np.concatenate([np.where(low == high, 0.0, 2.0), np.ones(len(ends))])
    places, place = np.unique(np.column_stack([np.concatenate([low, high]), kinds]), axis=0, return_inverse=True)
    left, right = np.split(place.ravel(), 2)
    return left, right, places[:, 0]


def _likeliest(inside: Array, weight: Array, sure: float, rounds: int) -> Array:
    """Return (d, m) the shares under which the runs, by their weights (d, n), are likeliest (Turnbull 1976)."""
    share = np.full((len(weight), inside.shape[1]), 1.0 / inside.shape[1])
    for _ in range(rounds):
        # At the optimum a share's gain is 1, or below it for one that vanishes (Gentleman and Geyer 1994).
        gain = np.divide(weight, share @ inside.T, out=np.zeros_like(weight), where=weight > 0) @ inside
        share = share * gain
        if np.all((np.abs(gain - 1) < sure) | ((gain < 1) & (share < sure / len(inside)))):
            break
    return np.asarray(share / share.sum(axis=1, keepdims=True))


def means_until(found: Shares, horizon: float) -> tuple[float, Array]:
    """Return the mean of min(time, horizon), and those of the resampled runs (d,)."""
    low, high = np.maximum(found.low, FIRST), np.maximum(found.high, FIRST)
    start, end = np.minimum(low, horizon), np.minimum(high, horizon)
    with np.errstate(divide="ignore", invalid="ignore"):
        # The integral of t over evenly spread log t up to the horizon, which stands for what lies beyond it.
        spread = ((end - start) + horizon * np.log(high / end)) / np.log(high / low)
    each = np.where((high > low) & np.isfinite(high), spread, start)
    return float(found.share @ each), found.draws @ each


def log_rank_scores(low: npt.ArrayLike, high: npt.ArrayLike) -> Array:
    """Return (n,) scores, high for early times, that a log-rank test compares (Sun 1996, Statistics in Medicine 15).

    A run's score is 1 − its cumulative hazard at an exact time and minus that at a censored one, as in the usual test;
    for an interval the mean of such scores over it.
    """
    found = turnbull(low, high)
    beyond = np.concatenate([[1.0], found.survival])
    hazard = np.divide(found.share, beyond[:-1], out=np.zeros_like(found.share), where=beyond[:-1] > SURE / len(beyond))
    risk = beyond * np.concatenate([[0.0], np.cumsum(hazard)])
    first = found.inside.argmax(axis=1)
    after = found.inside.shape[1] - found.inside[:, ::-1].argmax(axis=1)
    return np.asarray((risk[after] - risk[first]) / np.maximum(beyond[first] - beyond[after], 1e-12))
