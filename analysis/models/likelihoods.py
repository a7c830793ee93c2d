"""What runs tell of a noisy value: that it is known, or above or below something, and the likelihood of a latent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_expit, log_ndtr

Array = npt.NDArray[np.float64]

LOGISTIC = np.pi / 8.0
"""Share of a normal variance that widens a logistic."""


@dataclass(frozen=True, kw_only=True)
class Observations:
    """What is known of a noisy latent at `points`."""

    points: Array
    """(n, D) features, each about one box wide."""
    low: Array
    """(n,) lower end of what is known, or -inf."""
    high: Array
    """(n,) upper end, or inf; equal to `low` where the value was seen."""
    blur: Array
    """(n,) standard deviation of the rounding of a seen value, beside the noise."""
    logistic: bool = False
    """Whether the noise is logistic rather than normal; then no value is known and the noise has scale one."""

    @property
    def edges(self) -> Array:
        """Return (n,) the values seen, and the one known end of the others."""
        return np.where(np.isfinite(self.low), self.low, self.high)

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
    """Log likelihood of a latent and its derivatives, per row; `_noise` marks derivatives by the log of the noise."""

    value: Array
    first: Array
    weight: Array
    third: Array
    value_noise: Array
    first_noise: Array
    weight_noise: Array


def likelihood(seen: Observations, latent: Array, noise: float, extra: Array | float = 0.0) -> Likelihood:
    """Return the log likelihood of `latent` with its derivatives; `extra` is variance beside the noise."""
    if seen.logistic:
        return _logistic(seen, latent, extra)
    exact = seen.low == seen.high
    sign = np.where(np.isfinite(seen.low), 1.0, -1.0)
    edge = np.where(np.isfinite(seen.low), seen.low, seen.high)
    variance = noise**2 + np.where(exact, seen.blur**2, 0.0) + extra
    tau, share = np.sqrt(variance), noise**2 / variance
    u = np.where(exact, 0.0, sign * (latent - edge) / tau)
    log_tail = log_ndtr(u)
    near = np.maximum(u, -1e3)
    # Far out the ratio of density to tail is -u; the difference of two huge squares would be noise.
    h = np.where(u < -1e3, -u, np.exp(-0.5 * near**2 - 0.5 * np.log(2 * np.pi) - log_ndtr(near)))
    g = h * (u + h)
    slope = h * ((u + h) * (u + 2 * h) - 1.0)
    r = edge - latent
    return Likelihood(
        value=np.where(exact, -0.5 * r**2 / variance - np.log(tau) - 0.5 * np.log(2 * np.pi), log_tail),
        first=np.where(exact, r / variance, sign * h / tau),
        weight=np.where(exact, 1.0 / variance, np.maximum(g, 1e-12) / variance),
        third=np.where(exact, 0.0, sign * slope / (variance * tau)),
        value_noise=share * np.where(exact, r**2 / variance - 1.0, -h * u),
        first_noise=share * np.where(exact, -2.0 * r / variance, sign * (g * u - h) / tau),
        weight_noise=share * np.where(exact, -2.0, u * slope - 2.0 * g) / variance,
    )


def _logistic(seen: Observations, latent: Array, extra: Array | float) -> Likelihood:
    sign = np.where(np.isfinite(seen.low), 1.0, -1.0)
    edge = np.where(np.isfinite(seen.low), seen.low, seen.high)
    # A logistic seen through normal noise is nearly a wider logistic (MacKay 1992).
    tau = np.sqrt(1.0 + LOGISTIC * extra)
    u = sign * (latent - edge) / tau
    wrong = expit(-u)
    weight = wrong * (1.0 - wrong)
    zero = np.zeros(len(u))
    return Likelihood(
        value=log_expit(u),
        first=sign * wrong / tau,
        weight=np.maximum(weight, 1e-12) / tau**2,
        third=sign * weight * (1.0 - 2.0 * wrong) / tau**3,
        value_noise=zero,
        first_noise=zero,
        weight_noise=zero,
    )
