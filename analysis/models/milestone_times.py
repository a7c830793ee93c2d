"""Milestone times: log10 t_mem and log10 of the delay t_gen − t_mem as censored Gaussian processes, and their regimes.

Either may jump (`analysis.models.change_points`). The delay, not t_gen, is modelled: a run that generalises later than
it memorises does so by a mechanism of its own, and a run that never memorised says nothing about it. A delay that the
evaluation grid or the seeds' spread of t_mem cannot tell from zero is known only to be small (censored from the left);
a time between two evaluations far apart is known to lie between them (`analysis.runs.intervals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from analysis.models.change_points import PiecewisePosterior, PiecewiseProcess
from analysis.models.cores import beside
from analysis.models.likelihoods import Observations
from analysis.runs.axes import Array
from analysis.runs.intervals import delay_interval, evaluated_before, grid_interval, log_interval, milestone_interval
from analysis.runs.run_table import Runs
from grokcore.records.regimes import RegimeRule

NODES = 12
"""Nodes over t_mem when its uncertainty is integrated out."""
_PLACES, _WEIGHTS = (values / 2.0 for values in np.polynomial.legendre.leggauss(NODES))
_PLACES = _PLACES + 0.5
NEGLIGIBLE = 1e-6
"""Probability below which a side of the jumps is not looked at."""


class Times(NamedTuple):
    """Posterior of log10 t_mem and log10 delay at n points."""

    mem: PiecewisePosterior
    delay: PiecewisePosterior


def memorization_times(runs: Runs, points: Array) -> Observations:
    """Return what the runs tell of log10 t_mem."""
    step, event = runs.milestone("t_mem")
    low, high, blur = log_interval(runs, "t_mem")
    seen = Observations(points=points, low=low, high=high, blur=blur)
    return seen.rows(np.flatnonzero(event | (step >= 1)))


def delays(runs: Runs, points: Array) -> Observations:
    """Return what the runs tell of the log10 delay; runs that did not memorise tell nothing."""
    low, high, informative = delay_interval(runs)
    _, gen, _ = milestone_interval(runs, "t_gen")
    _, blur = grid_interval(gen, evaluated_before(runs, "t_gen"))
    # The grid blurs t_gen; seen from the delay the same interval is wider.
    blur = blur * gen / np.maximum(low, 0.5)
    at_once = (low == 0.0) & np.isfinite(high)
    low = np.where(at_once, -np.inf, np.log10(np.maximum(low, 0.5)))
    seen = Observations(points=points, low=low, high=np.log10(np.maximum(high, 0.5)), blur=blur)
    return seen.rows(np.flatnonzero(informative))


def _centre(seen: Observations, runs: Runs) -> float:
    """Return the level about which a time is modelled: the median of the values seen, or of what else is known."""
    values = seen.edges[(seen.low == seen.high) | seen.between]
    everything = values if len(values) else seen.edges
    return float(np.median(everything)) if len(everything) else float(np.log10(runs.budget_limit))


def regimes_from_times(times: Times, rule: RegimeRule, *, noise: bool = True) -> Array:
    """Return (n, 4) probabilities of the regimes under `rule`; without `noise`, those of the median run's regime."""
    return np.asarray(regimes_by_delays(times.mem, [times.delay], rule, noise=noise)[0])


def regimes_by_delays(
    mem: PiecewisePosterior, several: Sequence[PiecewisePosterior], rule: RegimeRule, *, noise: bool = True
) -> Array:
    """Return (S, n, 4): the same for each of several delays, with t_mem integrated out at the same nodes."""
    each = [list(delay.parts(noise=noise)) for delay in several]
    result = np.zeros((len(several), len(mem.mean), 4))
    for weight, mem_mean, mem_sd in mem.parts(noise=noise):
        nodes = _Nodes.at(mem_mean, mem_sd, rule)
        for found, delays in zip(result, each, strict=True):
            for share, mean, sd in delays:
                both = weight * share
                rows = np.flatnonzero(both > NEGLIGIBLE)
                if len(rows):
                    found[rows] += both[rows, None] * nodes.regimes(rows, mean[rows], sd[rows])
    return np.asarray(result / result.sum(axis=2, keepdims=True))


class _Nodes(NamedTuple):
    """Nodes of a quadrature over a normal log10 t_mem, cut at the budget, at n points.

    The regimes' probabilities are integrals over u = P(t_mem below its value) from 0 to P(t_mem ≤ budget): there they
    are smooth and bounded, and Gauss and Legendre's dozen of nodes errs by .0002 on average, .005 at most.
    """

    memorised: Array
    """(n,) P(t_mem ≤ budget)."""
    left: Array
    """(n, nodes) log10 of the steps that are left after t_mem."""
    prompt: Array
    """(n, nodes) log10 of the delay below which generalising counts as at once, or of the steps left."""

    @classmethod
    def at(cls, mean: Array, sd: Array, rule: RegimeRule) -> _Nodes:
        """Return the nodes for means and standard deviations of log10 t_mem."""
        sd = np.maximum(sd, 1e-9)
        memorised = ndtr((np.log10(rule.budget) - mean) / sd)
        u = np.clip(memorised[:, None] * _PLACES, 1e-300, 1.0 - 1e-16)
        t_mem = np.minimum(10.0 ** (mean[:, None] + sd[:, None] * ndtri(u)), rule.budget)
        left = rule.budget - t_mem
        need = rule.gap if rule.gap is not None else ((rule.ratio or 1.0) - 1.0) * t_mem
        return cls(memorised, _log(left), _log(np.minimum(left, need)))

    def regimes(self, rows: npt.NDArray[np.intp], mean: Array, sd: Array) -> Array:
        """Return (len(rows), 4) regime probabilities for normal log10 delays at some of the points."""
        sd = np.maximum(sd, 1e-9)[:, None]
        memorised = self.memorised[rows]
        in_time, prompt = (
            memorised * (ndtr((steps[rows] - mean[:, None]) / sd) @ _WEIGHTS) for steps in (self.left, self.prompt)
        )
        return np.column_stack([1.0 - memorised, memorised - in_time, in_time - prompt, prompt])


def _log(steps: Array) -> Array:
    return np.asarray(np.log10(np.maximum(steps, 1e-12)))


@dataclass(frozen=True)
class MilestoneTimes:
    """The two fitted processes at one threshold."""

    mem: PiecewiseProcess
    delay: PiecewiseProcess

    @classmethod
    def fit(
        cls, runs: Runs, points: Array, start: MilestoneTimes | None = None, *, learn: bool = True
    ) -> MilestoneTimes:
        """Fit both to the runs at feature rows `points`; hyperparameters from `start`, kept unless `learn`."""
        mem, delay = memorization_times(runs, points), delays(runs, points)
        before = (None, None) if start is None else (start.mem, start.delay)
        if not learn and start is not None:
            return cls(start.mem.refitted(mem, _centre(mem, runs)), start.delay.refitted(delay, _centre(delay, runs)))
        later = beside(PiecewiseProcess.fit, delay, _centre(delay, runs), before[1])
        return cls(PiecewiseProcess.fit(mem, _centre(mem, runs), before[0]), later())

    @classmethod
    def smoothly(cls, runs: Runs, points: Array) -> MilestoneTimes:
        """Fit both as smooth fields, without looking for jumps."""
        mem, delay = memorization_times(runs, points), delays(runs, points)
        return cls(*(PiecewiseProcess.smoothly(seen, _centre(seen, runs)) for seen in (mem, delay)))

    def at_threshold(self, runs: Runs, points: Array) -> MilestoneTimes:
        """Return the times of the same runs with milestones at another threshold, change points where they are here."""
        mem, delay = memorization_times(runs, points), delays(runs, points)
        return MilestoneTimes(
            self.mem.adapted(mem, _centre(mem, runs)), self.delay.adapted(delay, _centre(delay, runs))
        )

    @property
    def jumps(self) -> dict[str, list[float]]:
        """Return by how much each time jumps, in log10 steps; nothing for one that does not."""
        return {
            name: [point.height for point in process.change_points]
            for name, process in (("t_mem", self.mem), ("delay", self.delay))
        }

    def predict(self, points: Array) -> Times:
        """Return the posterior at feature rows."""
        return Times(self.mem.predict(points), self.delay.predict(points))

    def sample(self, times: Times, normals: Array, rule: RegimeRule) -> Array:
        """Return (S, n, 4): seeds' probabilities for draws of the median run's times at (S, unknowns) `normals`."""
        own = 1 + len(times.mem.steps)
        draws = [Times(times.mem.drawn(row[:own]), times.delay.drawn(row[own:])) for row in normals]
        return np.stack([regimes_from_times(draw, rule) for draw in draws])

    def generalises_between(self, points: Array, begin: Array, end: Array, memorised_at: Array | None) -> Array:
        """Return (n,) P(t_gen ≤ end | t_gen > begin) at feature rows, given t_mem where it is known (NaN elsewhere)."""
        times = self.predict(points)
        by_end, by_now = (self.generalised_by(times, step, memorised_at) for step in (end, begin))
        return np.asarray(np.clip(by_end - by_now, 0.0, 1.0) / np.maximum(1.0 - by_now, 1e-12))

    def generalised_by(self, times: Times, step: Array, memorised_at: Array | None = None) -> Array:
        """Return (n,) P(t_gen ≤ step), given t_mem where it is known (NaN where it is not)."""
        chance = np.zeros(len(step))
        for weight, mean, sd in times.mem.parts():
            t_mem = 10.0 ** (mean[:, None] + sd[:, None] * ndtri(_PLACES))
            if memorised_at is not None:
                known = np.isfinite(memorised_at)
                t_mem[known] = memorised_at[known, None]
            left = np.log10(np.maximum(step[:, None] - t_mem, 1e-12))
            for share, delay, spread in times.delay.parts():
                chance += weight * share * (ndtr((left - delay[:, None]) / spread[:, None]) @ _WEIGHTS)
        return chance
