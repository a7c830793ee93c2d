"""The likelihood of the critical law's parameters: its maximum, profile intervals, and draws from the posterior."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_ndtr

from analysis.models.likelihoods import density_shares, log_mass
from analysis.runs.axes import Array

HALF_CHI_SQUARE = 1.92
"""Fall of the log likelihood at the ends of a 95 % profile interval."""
DISTANCE = 0.3
"""Distance from the critical fraction at which `log10_scale` is the delay; keeps it apart from γ in the fit."""
OUTLIERS = 0.01
"""Share of runs that the law may be wrong about: one run below f_c that generalises must not forbid the truth."""
_OUTLIER_SPREAD = 2.0
_ROOT = 0.5 * np.log(2.0 * np.pi)
FOREVER = 30.0
"""log10 of a delay beyond which the law no longer tells one from another."""
AT_BOUND = 1e-3
"""Distance from a bound within which an estimate lies at it."""
TINY = 1e-6
"""Width of an interval, in standard deviations, where none is meant: it is computed there and not used."""
LARGEST = 700.0
"""Exponent of the largest number, about."""
WALK = 24
"""Steps at most of a walk to an end of an interval."""
NEAR = 0.005
"""Share of the root of the fall within which an end is found."""
PROPOSALS = 512
"""Points at which the posterior is looked at, to draw from it by importance."""


def median_delay(parameters: Array, fraction: Array, logs: Array, *, sloped: bool) -> Array:
    """Return (n,) log10 delays of the median run; infinite at and below the critical fraction."""
    powers = logs.shape[1]
    scale, exponents, gamma, critical = (
        parameters[0],
        parameters[1 : 1 + powers],
        parameters[1 + powers],
        parameters[2 + powers],
    )
    edge = critical + parameters[3 + powers] * logs[:, 0] if sloped else critical
    beyond = fraction - edge
    with np.errstate(divide="ignore"):
        return np.asarray(scale - logs @ exponents - gamma * np.log10(np.maximum(beyond, 0.0) / DISTANCE))


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Delays with their columns, and the likelihood of the law's parameters (the noise's as its logarithm)."""

    fraction: Array
    """(n,) training fractions."""
    logs: Array
    """(n, powers) log10 of the power columns, from their origins."""
    low: Array
    """(n,) log10 of the delay seen, or at which it was censored, or at the beginning of its interval (−∞: none)."""
    event: npt.NDArray[np.bool_]
    """(n,) whether the delay was seen."""
    high: Array | None = None
    """(n,) log10 of the end of its interval where the delay lies between two evaluations, else ∞; none if nowhere."""
    sloped: bool
    """Whether the critical fraction moves with the first power's logarithm."""

    def losses(self, parameters: Array) -> Array:
        """Return (S,) minus the log posterior of (S, k) parameters."""
        noise = np.exp(parameters[:, -1:])
        each = [median_delay(one, self.fraction, self.logs, sloped=self.sloped) for one in parameters]
        median = np.minimum(np.stack(each), FOREVER)
        value = np.logaddexp(self._inlier(median, noise), self._stray)
        middle, width = self._prior()
        off = (parameters - middle) / width
        return np.asarray(0.5 * (off**2).sum(axis=1) - value.sum(axis=1))

    def slope(self, parameters: Array) -> tuple[float, Array]:
        """Return minus the log posterior and its gradient."""
        powers = self.logs.shape[1]
        noise = np.exp(parameters[-1])
        raw = median_delay(parameters, self.fraction, self.logs, sloped=self.sloped)
        median = np.minimum(raw, FOREVER)
        inlier, by_median, by_noise = self._inlier_and_slopes(median, noise)
        value = np.logaddexp(inlier, self._stray)
        share = np.exp(inlier - value)
        beyond = np.maximum(self.fraction - self._edge(parameters), 1e-12)
        moves = np.where(raw < FOREVER, share * by_median, 0.0)
        by_edge = parameters[1 + powers] / (np.log(10) * beyond)
        columns = [np.ones(len(moves)), *(-self.logs.T), -np.log10(beyond / DISTANCE), by_edge]
        columns += [by_edge * self.logs[:, 0]] if self.sloped else []
        gradient = np.array([*(float(moves @ column) for column in columns), float(share @ by_noise)])
        middle, width = self._prior()
        off = (parameters - middle) / width
        return float(0.5 * off @ off - value.sum()), off / width - gradient

    def _inlier_and_slopes(self, median: Array, noise: float) -> tuple[Array, Array, Array]:
        """Return by run the log likelihood where the law is right, and its slopes by the median and the log noise."""
        z = (self.low - median) / noise
        seen, unseen = self._seen_and_unseen
        inside, fall = -0.5 * z**2 - np.log(noise) - _ROOT, z.copy()
        late = z[unseen]
        tail = log_ndtr(-late)
        near = np.minimum(late, 1e3)
        inside[unseen] = tail
        fall[unseen] = np.where(late > 1e3, late, np.exp(np.minimum(-0.5 * near**2 - _ROOT - tail, LARGEST)))
        by_noise = fall * z
        by_noise[seen] -= 1.0
        if self.between.any():
            top = np.maximum((self._ends - median) / noise, z + TINY)
            p, q = density_shares(z, top)
            inside = np.where(self.between, log_mass(z, top), inside)
            fall = np.where(self.between, p - q, fall)
            by_noise = np.where(self.between, p * z - q * top, by_noise)
        return np.log1p(-OUTLIERS) + inside, fall / noise, by_noise

    @functools.cached_property
    def _seen_and_unseen(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Rows whose delay was seen, and the others."""
        return np.flatnonzero(self.event), np.flatnonzero(~self.event)

    @functools.cached_property
    def between(self) -> npt.NDArray[np.bool_]:
        """(n,) where the delay lies between two evaluations."""
        return np.zeros(len(self.low), dtype=bool) if self.high is None else np.isfinite(self.high)

    @functools.cached_property
    def _ends(self) -> Array:
        return self.low if self.high is None else np.where(self.between, self.high, self.low)

    @functools.cached_property
    def middles(self) -> Array:
        """(n,) log10 of the delay seen or censored, or of the middle of its interval."""
        return np.asarray(0.5 * (np.where(self.between, np.maximum(self.low, 0.0), self.low) + self._ends))

    def _inlier(self, median: Array, noise: Array | float) -> Array:
        """Return the log likelihood of runs that the law is right about."""
        z = (self.low - median) / noise
        inside = np.where(self.event, -0.5 * z**2 - np.log(noise) - _ROOT, log_ndtr(-z))
        if self.between.any():
            top = np.maximum((self._ends - median) / noise, z + TINY)
            inside = np.where(self.between, log_mass(z, top), inside)
        return np.asarray(np.log1p(-OUTLIERS) + inside)

    @functools.cached_property
    def _stray(self) -> Array:
        """The log likelihood of runs that the law is wrong about."""
        middle = np.median(self.middles)
        off = (self.low - middle) / _OUTLIER_SPREAD
        density = -0.5 * off**2 - np.log(_OUTLIER_SPREAD) - _ROOT
        found = np.where(self.event, np.log(OUTLIERS) + density, np.log(OUTLIERS / 2))
        if self.between.any():
            top = np.maximum((self._ends - middle) / _OUTLIER_SPREAD, off + TINY)
            found = np.where(self.between, np.log(OUTLIERS) + log_mass(off, top), found)
        return np.asarray(found)

    def _edge(self, parameters: Array) -> Array:
        powers = self.logs.shape[1]
        moved = parameters[3 + powers] * self.logs[:, 0] if self.sloped else np.zeros(len(self.fraction))
        return np.asarray(parameters[2 + powers] + moved)

    def _prior(self) -> tuple[Array, Array]:
        """Return means and widths of wide normal priors, which only keep the search from running off."""
        powers = self.logs.shape[1]
        middle = [3.0, *[0.0] * powers, 1.2, 0.3, *[0.0] * self.sloped, -1.9]
        width = [10.0, *[5.0] * powers, 1.0, 5.0, *[0.1] * self.sloped, 0.7]
        return np.array(middle), np.array(width)

    def bounds(self) -> list[tuple[float, float]]:
        """Return the range of each parameter."""
        top = float(self.fraction.max())
        ends = [
            (-6.0, 12.0),
            *[(-6.0, 6.0)] * self.logs.shape[1],
            (0.05, 6.0),
            (-0.2, top),
            *([(-0.5, 0.5)] * self.sloped),
        ]
        return [*ends, (np.log(0.01), np.log(1.5))]

    def solve(self, start: Array, *, fixed: int | None = None, polish: bool = True) -> tuple[Array, float]:
        """Return the best parameters from `start` and their loss; `fixed` stays; `polish` for the last digit."""
        free = np.arange(len(start)) != fixed
        whole = start.copy()

        def slope(values: Array) -> tuple[float, Array]:
            whole[free] = values
            loss, gradient = self.slope(whole)
            return loss, gradient[free]

        bounds = [b for b, keep in zip(self.bounds(), free, strict=True) if keep]
        found = minimize(slope, start[free], jac=True, method="L-BFGS-B", bounds=bounds)
        if polish:
            found = minimize(
                lambda values: slope(values)[0],
                found.x,
                method="Nelder-Mead",
                bounds=bounds,
                options={"maxiter": 300, "fatol": 1e-4},
            )
        whole[free] = found.x
        return whole, float(found.fun)


def profile(problem: Problem, best: Array, loss: float) -> Array:
    """Return (k, 2): the ends of each parameter's 95 % profile interval."""
    free, curvature = _curvature(problem, best)
    widths = 0.05 * (1.0 + np.abs(best))
    values, vectors = np.linalg.eigh(curvature)
    if len(free) and values[0] > TINY:
        widths[free] = np.sqrt(2.0 * HALF_CHI_SQUARE * (vectors**2 / values).sum(axis=1))
    ends = np.zeros((len(best), 2))
    for index, (low, high) in enumerate(problem.bounds()):
        for side, (sign, limit) in enumerate(((-1.0, low), (1.0, high))):
            ends[index, side] = _walk(problem, best, loss, index, sign * widths[index], limit)
    return ends


def _walk(problem: Problem, best: Array, loss: float, index: int, step: float, limit: float) -> float:
    """Return where the profile has fallen far enough, from the estimate in the direction of a first guess `step`.

    The square root of its fall is nearly a straight line, along which the next guess is made.
    """
    wanted = np.sqrt(HALF_CHI_SQUARE)

    def fall(value: float, start: Array) -> tuple[float, Array]:
        trial = start.copy()
        trial[index] = value
        trial, at = problem.solve(trial, fixed=index, polish=False)
        return float(np.sqrt(max(at - loss, 0.0))), trial

    inside, outside = (float(best[index]), 0.0), None
    current, guess = best, float(best[index]) + step
    for _ in range(WALK):
        if (guess - limit) * step > 0:
            if inside[0] == limit:
                return float(limit)
            guess = float(limit)
        fallen, trial = fall(guess, current)
        if abs(fallen - wanted) < NEAR * wanted:
            return guess
        if fallen < wanted:
            if guess == limit:
                return float(limit)
            inside, current = (guess, fallen), trial
        else:
            outside = (guess, fallen)
        if outside is None:
            stretch = np.clip(wanted / max(fallen, TINY), 1.2, 3.0)
            guess = float(best[index]) + stretch * (guess - float(best[index]))
        else:
            share = np.clip((wanted - inside[1]) / (outside[1] - inside[1]), 0.1, 0.9)
            guess = inside[0] + share * (outside[0] - inside[0])
    return guess


def _curvature(problem: Problem, best: Array) -> tuple[npt.NDArray[np.intp], Array]:
    """Return which parameters are not at a bound, and the curvature of the loss in them."""
    low, high = np.array(problem.bounds()).T
    free = np.flatnonzero((best > low + AT_BOUND) & (best < high - AT_BOUND))
    steps = np.diag(1e-4 * (1.0 + np.abs(best)))[free]
    columns = [
        (problem.slope(best + step)[1] - problem.slope(best - step)[1])[free] / (2.0 * step.sum()) for step in steps
    ]
    curvature = np.array(columns).reshape(len(free), len(free))
    return free, (curvature + curvature.T) / 2.0


def posterior_draws(problem: Problem, best: Array, count: int, seed: int = 0) -> Array:
    """Return (count, k) draws of the parameters from their posterior, by importance from a wide t around the best.

    A parameter whose best value is at its bound stays there.
    """
    low, high = np.array(problem.bounds()).T
    free, curvature = _curvature(problem, best)
    if not len(free):
        return np.tile(best, (count, 1))
    values, vectors = np.linalg.eigh(curvature)
    root = vectors / np.sqrt(np.maximum(values, 1e-2))
    rng = np.random.default_rng(seed)
    degrees = 5.0
    stretch = np.sqrt(degrees / rng.chisquare(degrees, PROPOSALS))
    z = rng.standard_normal((PROPOSALS, len(free))) * stretch[:, None]
    z[0] = 0.0
    density = -0.5 * (degrees + len(free)) * np.log1p((z**2).sum(axis=1) / degrees)
    proposed = np.tile(best, (PROPOSALS, 1))
    proposed[:, free] += z @ root.T
    inside = ((proposed >= low) & (proposed <= high)).all(axis=1)
    score = np.full(PROPOSALS, -np.inf)
    score[inside] = -problem.losses(proposed[inside])
    weight = np.exp(score - density - (score - density).max())
    ends = np.cumsum(weight) / weight.sum()
    return np.asarray(proposed[np.searchsorted(ends, (np.arange(count) + 0.5) / count)])
