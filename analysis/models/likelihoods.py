"""What runs tell of a noisy value: that it is known, between, above or below something; the likelihood of a latent."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, log_ndtr

Array = npt.NDArray[np.float64]

LOGISTIC = np.pi / 8.0
"""Share of a normal variance that widens a logistic."""
FAR = 100.0
"""Standard deviations from an interval beyond which only its nearer end counts; the other adds less than rounding."""


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What is known of a noisy latent at `points`."""

    points: Array
    """(n, D) features, each about one box wide."""
    low: Array
    """(n,) lower end of what is known, or -inf."""
    high: Array
    """(n,) upper end, or inf; equal to `low` where the value was seen, above it where it lies somewhere between."""
    blur: Array
    """(n,) standard deviation of the rounding of a seen value, beside the noise."""
    logistic: bool = False
    """Whether the noise is logistic rather than normal; then no value is known and the noise has scale one."""

    @property
    def edges(self) -> Array:
        """Return (n,) the values seen, the middles of intervals, and the one known end of the others."""
        between, (one, _) = self.between, self.bound
        return np.where(between, 0.5 * (np.where(between, self.low, 0.0) + np.where(between, self.high, 0.0)), one)

    @functools.cached_property
    def between(self) -> npt.NDArray[np.bool_]:
        """Return (n,) where a value is known to lie between two finite ends (interval-censored)."""
        return np.isfinite(self.low) & np.isfinite(self.high) & (self.low < self.high)

    @functools.cached_property
    def intervals(self) -> npt.NDArray[np.intp]:
        """Return the rows that are `between`."""
        return np.flatnonzero(self.between)

    @functools.cached_property
    def exact(self) -> npt.NDArray[np.bool_]:
        """Return (n,) where the value was seen."""
        return np.equal(self.low, self.high)

    @functools.cached_property
    def bound(self) -> tuple[Array, Array]:
        """Return (n,) the one known end of what is known, and 1 where the value is above it, −1 where below."""
        above = np.isfinite(self.low)
        return np.where(above, self.low, self.high), np.where(above, 1.0, -1.0)

    def rows(self, chosen: npt.NDArray[np.intp]) -> Observations:
        """Return some of the observations."""
        some = {name: getattr(self, name)[chosen] for name in ("points", "low", "high", "blur")}
        return replace(self, **some)


def sided(points: Array, positive: npt.NDArray[np.bool_]) -> Observations:
    """Return answers, yes where `positive`, as observations of a classifier's latent."""
    return Observations(
        points=points,
        low=np.where(positive, 0.0, -np.inf),
        high=np.where(positive, np.inf, 0.0),
        blur=np.zeros(len(points)),
        logistic=True,
    )


@dataclass(frozen=True)
class Likelihood:
    """Log likelihood of a latent and its first two derivatives, per row; the weight is minus the second."""

    value: Array
    first: Array
    weight: Array


@dataclass(frozen=True)
class WholeLikelihood(Likelihood):
    """The same with the third derivative, and, as `_noise`, those by the logarithm of the noise."""

    third: Array
    value_noise: Array
    first_noise: Array
    weight_noise: Array


def likelihood(seen: Observations, latent: Array, noise: float, extra: Array | float = 0.0) -> Likelihood:
    """Return the log likelihood of `latent` with what climbing it takes; `extra` is variance beside the noise."""
    if seen.logistic:
        return _logistic(seen, latent, extra)[0]
    return _Normal(seen, latent, noise, extra).climbed


def whole_likelihood(seen: Observations, latent: Array, noise: float, extra: Array | float = 0.0) -> WholeLikelihood:
    """Return the log likelihood of `latent` with all its derivatives; `extra` is variance beside the noise."""
    if not seen.logistic:
        return _Normal(seen, latent, noise, extra).whole
    found, third = _logistic(seen, latent, extra)
    zero = np.zeros(len(latent))
    return WholeLikelihood(found.value, found.first, found.weight, third, zero, zero, zero)


class _Normal:
    """The likelihood through normal noise of values seen, beyond an edge, or between two."""

    def __init__(self, seen: Observations, latent: Array, noise: float, extra: Array | float) -> None:
        self.seen, self.latent = seen, latent
        self.edge, self.sign = seen.bound
        self.variance = noise**2 + np.where(seen.exact, seen.blur**2, 0.0) + extra
        self.tau, self.share = np.sqrt(self.variance), noise**2 / self.variance
        self.u = u = np.where(seen.exact, 0.0, self.sign * (latent - self.edge) / self.tau)
        near = np.maximum(u, -1e3)
        tail = log_ndtr(near)
        ratio = np.exp(-0.5 * near**2 - 0.5 * np.log(2 * np.pi) - tail)
        self.tail, self.h = tail, ratio
        if u.min(initial=0.0) < -1e3:
            # Far out the ratio of density to tail is -u; the difference of two huge squares would be noise.
            self.tail, self.h = log_ndtr(u), np.where(u < -1e3, -u, ratio)
        self.g = self.h * (u + self.h)
        self.r = self.edge - latent

    @property
    def climbed(self) -> Likelihood:
        """Return value, slope and weight."""
        exact, variance, tau = self.seen.exact, self.variance, self.tau
        value = np.where(exact, -0.5 * self.r**2 / variance - np.log(tau) - 0.5 * np.log(2 * np.pi), self.tail)
        first = np.where(exact, self.r / variance, self.sign * self.h / tau)
        weight = np.where(exact, 1.0 / variance, np.maximum(self.g, 1e-12) / variance)
        found = Likelihood(value, first, weight)
        self._set_intervals(found)
        return found

    @property
    def whole(self) -> WholeLikelihood:
        """Return all derivatives."""
        exact, variance, tau, share = self.seen.exact, self.variance, self.tau, self.share
        u, h, g, sign = self.u, self.h, self.g, self.sign
        slope = h * ((u + h) * (u + 2 * h) - 1.0)
        own = self.climbed
        found = WholeLikelihood(
            own.value,
            own.first,
            own.weight,
            third=np.where(exact, 0.0, sign * slope / (variance * tau)),
            value_noise=share * np.where(exact, self.r**2 / variance - 1.0, -h * u),
            first_noise=share * np.where(exact, -2.0 * self.r / variance, sign * (g * u - h) / tau),
            weight_noise=share * np.where(exact, -2.0, u * slope - 2.0 * g) / variance,
        )
        self._set_intervals(found)
        return found

    def _set_intervals(self, found: Likelihood) -> None:
        """Set the rows that lie between two ends: log(Φ(b) − Φ(a)), a and b the ends' distances in `tau`.

        With p = φ(a)/mass, q = φ(b)/mass and s_k = p aᵏ − q bᵏ every derivative is a polynomial in s_0 … s_3; letting b
        go to infinity gives the one-sided rows.
        """
        seen, rows = self.seen, self.seen.intervals
        if not len(rows):
            return
        spread = np.broadcast_to(self.tau, self.latent.shape)[rows]
        part = np.broadcast_to(self.share, self.latent.shape)[rows]
        a, b = ((end[rows] - self.latent[rows]) / spread for end in (seen.low, seen.high))
        # Below an interval or above it, far out, it is its nearer end that tells.
        a, b = np.where(b < -FAR, -np.inf, a), np.where(a > FAR, np.inf, b)
        p, q = density_shares(np.maximum(a, -1e150), np.minimum(b, 1e150))
        below, above = np.where(np.isfinite(a), a, 0.0), np.where(np.isfinite(b), b, 0.0)
        s0, s1, s2, s3 = (p * below**k - q * above**k for k in range(4))
        values = {
            "value": log_mass(np.maximum(a, -1e150), np.minimum(b, 1e150)),
            "first": s0 / spread,
            "weight": np.maximum(s0**2 - s1, 1e-12) / spread**2,
        }
        if isinstance(found, WholeLikelihood):
            values |= {
                "third": (s2 - s0 - 3 * s0 * s1 + 2 * s0**3) / spread**3,
                "value_noise": part * s1,
                "first_noise": part * (s2 - s0 * s1 - s0) / spread,
                "weight_noise": part * (2 * s0 * (s2 - s0 * s1) - s3 + s1**2 + s1 - 2 * (s0**2 - s1)) / spread**2,
            }
        for name, value in values.items():
            getattr(found, name)[rows] = value


def log_chance(seen: Observations, mean: Array, variance: Array, noise: float) -> Array:
    """Return the log chance (density where a value was seen) of each observation, its latent normal."""
    exact = seen.low == seen.high
    spread = np.sqrt(noise**2 + variance + np.where(exact, seen.blur**2, 0.0))
    off = (seen.edges - mean) / spread
    tail = log_ndtr(np.where(np.isfinite(seen.low), -off, off))
    if seen.between.any():
        ends = np.where(seen.between, (seen.low - mean) / spread, -1.0), (seen.high - mean) / spread
        tail = np.where(seen.between, log_mass(ends[0], np.where(seen.between, ends[1], 1.0)), tail)
    return np.asarray(np.where(exact, -0.5 * off**2 - np.log(spread) - 0.5 * np.log(2 * np.pi), tail))


def log_mass(below: Array, above: Array) -> Array:
    """Return log(Φ(above) − Φ(below)) of a standard normal for below < above, exact in both tails."""
    flip = below + above > 0
    low, high = np.where(flip, -above, below), np.where(flip, -below, above)
    top = log_ndtr(high)
    with np.errstate(divide="ignore"):
        return np.asarray(top + np.log(-np.expm1(np.minimum(log_ndtr(low) - top, 0.0))))


def density_shares(below: Array, above: Array) -> tuple[Array, Array]:
    """Return φ(below) and φ(above), each divided by Φ(above) − Φ(below)."""
    near, top = np.minimum(below, 1e3), np.maximum(above, -1e3)
    mass, root = log_mass(np.minimum(near, top), np.maximum(near, top)), 0.5 * np.log(2 * np.pi)
    with np.errstate(over="ignore"):
        first, second = (np.exp(-0.5 * z**2 - root - mass) for z in (near, top))
    # Far out the ratio of density to mass is the distance; the difference of two huge squares would be noise.
    out, under = below > 1e3, above < -1e3
    first, second = (
        np.where(out, below, np.where(under, 0.0, first)),
        np.where(under, -above, np.where(out, 0.0, second)),
    )
    return np.asarray(first), np.asarray(second)


def _logistic(seen: Observations, latent: Array, extra: Array | float) -> tuple[Likelihood, Array]:
    """Return the likelihood through logistic noise, and its third derivative."""
    edge, sign = seen.bound
    # A logistic seen through normal noise is nearly a wider logistic (MacKay 1992).
    tau = np.sqrt(1.0 + LOGISTIC * extra)
    u = sign * (latent - edge) / tau
    wrong = expit(-u)
    weight = wrong * (1.0 - wrong)
    found = Likelihood(log_expit(u), sign * wrong / tau, np.maximum(weight, 1e-12) / tau**2)
    return found, sign * weight * (1.0 - 2.0 * wrong) / tau**3
